"""A view whose weight files are proven, and only need new documents beside them."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.tools import runtime_versions, tool_versions
from voxbuild.artifact.variant import Variant
from voxbuild.errors import VoxbuildError
from voxbuild.files import read_state, write_json
from voxrun.trust.manifest import Entry


@dataclass(frozen=True)
class ProvenView:
    """A view's weight files, and how they were proven to be the artifact's."""

    files: dict[str, Entry]
    tensors: int
    """How many tensors were compared."""
    heard: dict[str, str]
    """Clip -> transcript, as the artifact's."""


def remember(view: Variant, artifact: Manifest, proven: ProvenView) -> None:
    """Record that a view of this artifact was proven."""
    state = {"inputs": _inputs(view, artifact), "tensors": proven.tensors, "heard": proven.heard}
    write_json(view.heard_file, state | {"sizes_and_hashes": _hashes(proven.files)})


def reuse(view: Variant, artifact: Manifest, heard: Mapping[str, str], folder: Path) -> ProvenView | None:
    """Put the weight files of the existing view into `folder`, linked or else copied.

    None, and nothing is put there, unless it was proven for this artifact, with this loader, these versions
    and these transcripts, and its files are still those.
    """
    stored = read_state(view.heard_file)
    if not isinstance(stored, dict) or stored.get("inputs") != _inputs(view, artifact):
        return None
    try:
        manifest = Manifest.load(view.folder)
    except VoxbuildError:
        return None
    files = manifest.weight_files
    if stored["heard"] != heard or stored["sizes_and_hashes"] != _hashes(files):
        return None
    if manifest.damaged(view.folder, files):
        return None
    for name in files:
        _link(view.folder / name, folder / name)
    return ProvenView(files, stored["tensors"], stored["heard"])


def _inputs(view: Variant, artifact: Manifest) -> dict[str, Any]:
    """Everything that a view and its proof depend on."""
    return {
        "artifact": artifact.weight_digest,
        "loader": hashlib.sha256(repr(view.loader).encode()).hexdigest(),
        "versions": tool_versions() | runtime_versions(),
    }


def _hashes(files: Mapping[str, Entry]) -> dict[str, list[Any]]:
    return {name: [entry.size, entry.sha256] for name, entry in files.items()}


def _link(path: Path, new: Path) -> None:
    """A second name for a file; a copy where the file system has no links."""
    try:
        os.link(path, new)
    except OSError:
        shutil.copyfile(path, new)
