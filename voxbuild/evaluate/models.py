"""The models that hear clips, and the jobs of one of them: a source, an artifact."""

import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.convert.readable import hashes_of_copy, proven_folder
from voxbuild.files import stamp
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import Fetched
from voxbuild.workspace import Workspace
from voxrun.files.hashes import sha256_of
from voxrun.stream.tokenizer import Tokenizer

from .jobs import UNQUANTIZED, Job, Model, Reference


def source_model(work: Workspace, source: Source) -> Model:
    """The unquantized source, whose weights have the hashes by which they are known. Raises SourceError.

    One that is streamed hears nothing, but what it heard elsewhere is found by the same digest.
    """
    fetched, copy = Fetched.load(work.source_file(source.name)), hashes_of_copy(work, source)
    digest, origin = _digest([fetched.identity(), copy]), source.origin.identity
    if fetched.streamed:
        return Model(UNQUANTIZED, fetched.folder, digest, absent=_absent(work, source))
    repo = f"{origin['repo']}@{origin['revision']}" if origin and copy is None else None
    return Model(UNQUANTIZED, proven_folder(work, source), digest, repo)


def _absent(work: Workspace, source: Source) -> str:
    kept = work.records(source.name).relative_to(work.root)
    return (
        f"the source {source.name} was streamed, so it is not on this disk, and no artifact of it can be"
        " judged without what it hears in these clips; download it, by the same command with fetch=disk, or"
        f" copy {kept} from a machine that validated a build over the same source with the same clips, and"
        " run it again; what was converted is kept"
    )


def artifact_model(variant: Variant) -> Model:
    """A built artifact. Raises VoxbuildError if it is not built."""
    manifest = Manifest.load(variant.folder)
    published = f"{variant.repo}@{variant.tag}"  # if it was
    return Model(variant.recipe.name, variant.folder, manifest.weight_digest, published)


def default_delay(model: Model) -> float:
    """The delay in ms that its tokenizer names. Raises ConfigError."""
    return Tokenizer(model.folder).default_delay_ms


def jobs_for(
    model: Model, clips: Sequence[Clip], delay_ms: float, references: Sequence[Reference] | None = None
) -> list[Job]:
    """A job for each clip; `references` are those of the same clips, None for the source itself."""
    given: Sequence[Reference | None] = references or [None] * len(clips)
    return [
        Job(model, clip.name, clip.path, _sha256(clip.path, *stamp(clip.path)), delay_ms, reference)
        for clip, reference in zip(clips, given, strict=True)
    ]


@cache
def _sha256(path: Path, *stamp: int) -> str:
    return sha256_of(path)


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
