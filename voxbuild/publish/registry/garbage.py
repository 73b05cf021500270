"""Finding and removing what no ref of a repository in the local registry needs."""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from voxbuild.files import TORN_FILES
from voxrun.trust.registry import read_ref

BLOB = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""A sha256, or the git hash by which the Hub's client names small files."""


@dataclass(frozen=True)
class Garbage:
    """A blob, a snapshot, or a partial file of a killed process."""

    path: Path
    nbytes: int


def garbage_of(repo: Path) -> list[Garbage]:
    """Snapshots without a ref, blobs that only those link to, and partial files; removes nothing.

    Raises ModelError for an invalid ref, as it is unknown what it needs.
    """
    refs = [path for path in (repo / "refs").rglob("*") if path.is_symlink() or not path.is_dir()]
    partial = [path for path in refs if fnmatchcase(path.name, TORN_FILES)]
    commits = {read_ref(path) for path in refs if path not in partial}
    snapshots = sorted((repo / "snapshots").glob("*"))
    needed = {blob for folder in snapshots if folder.name in commits for blob in _linked(folder)}
    blobs = [path for path in sorted((repo / "blobs").glob("*")) if BLOB.fullmatch(path.name)]
    useless = [
        *(folder for folder in snapshots if folder.name not in commits),
        *(blob for blob in blobs if blob.name not in needed),
        *repo.glob(".partial"),
        *repo.glob(TORN_FILES),
        *partial,
    ]
    return [Garbage(path, _size(path)) for path in useless]


def remove(useless: Iterable[Garbage], partial: Path) -> None:
    """Remove it; a snapshot is moved to `partial` first, so that readers never see a part of it."""
    for garbage in useless:
        path = garbage.path
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        elif path == partial:
            shutil.rmtree(path)
        else:
            partial.mkdir(exist_ok=True)
            shutil.rmtree(path.rename(partial / path.name))
    shutil.rmtree(partial, ignore_errors=True)


def _linked(folder: Path) -> set[str]:
    """Names of the blobs that a snapshot links to."""
    return {path.resolve().name for path in folder.rglob("*") if path.is_symlink()}


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder, without links."""
    if path.is_symlink():
        return 0
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(p.lstat().st_size for p in inside if p.is_file() and not p.is_symlink())
