"""Writing an artifact's bill of materials and its provenance.

`folder` holds the files; of a view that is being made, it is not yet the variant's own folder.
"""

from pathlib import Path
from typing import Any

from voxbuild.files import write_json
from voxrun.files.hashes import sha256_of

from . import bom, provenance
from .manifest import BOM, DESCRIPTIVE, PROVENANCE, Manifest, describe, read_validation
from .variant import Variant


def write_bom(variant: Variant, folder: Path, manifest: Manifest) -> None:
    """Write bom.cdx.json. Raises VoxbuildError if the validation, or a view's artifact, cannot be read."""
    ancestors = (
        [bom.artifact(variant.artifact.repo, Manifest.load(variant.artifact.folder))]
        if variant.loader
        else bom.upstream(variant.source, manifest.source_files)
    )
    write_json(folder / BOM, bom.make_bom(variant, manifest, read_validation(folder), ancestors))


def write_provenance(variant: Variant, folder: Path, manifest: Manifest) -> None:
    """Write provenance.json, which covers all files written before it. Raises VoxbuildError."""
    artifact = variant.artifact
    made_from = (
        provenance.artifact_files(artifact.repo, Manifest.load(artifact.folder).weight_files)
        if variant.loader
        else provenance.upstream_files(manifest)
    )
    described = describe(folder, [name for name in DESCRIPTIVE if name != PROVENANCE])
    statement = provenance.make_provenance(
        variant,
        manifest,
        manifest.weight_files | described,
        made_from + _recordings(variant),
        read_validation(folder)["runtime"],
    )
    write_json(folder / PROVENANCE, statement)


def _recordings(variant: Variant) -> list[dict[str, Any]]:
    """The recordings that it was validated with, as dependencies."""
    found = []
    for clips in variant.clip_sets.values():
        hashes = {path.name: sha256_of(path) for path in clips.corpus.files(variant.work.clips)}
        found += provenance.clip_dependencies(clips, hashes)
    return found
