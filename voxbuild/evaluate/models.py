"""The models of a grid: the unquantized source and its artifacts, known by their hashes."""

import hashlib
import json

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.convert.unquantized import proven_folder
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import Fetched
from voxbuild.workspace import Workspace

from .jobs import UNQUANTIZED, Model


def source_model(work: Workspace, source: Source) -> Model:
    """The source itself. Raises SourceError if its weights do not have their pinned hashes."""
    identity = Fetched.load(work.source_file(source.name)).identity()
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return Model(UNQUANTIZED, proven_folder(work, source), digest)


def artifact_model(variant: Variant) -> Model:
    """A built artifact. Raises VoxbuildError if its manifest cannot be read."""
    manifest = Manifest.load(variant.folder)
    return Model(variant.recipe.name, variant.folder, manifest.weight_digest)
