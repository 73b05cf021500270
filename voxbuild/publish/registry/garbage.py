"""What lies in a repository of the local registry and no ref needs."""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from voxrun.trust.registry import read_ref

BLOB = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
"""By sha256; the Hub's client names small files by their git hash."""


@dataclass(frozen=True)
class Garbage:
    """A blob, a snapshot or what a killed publisher left."""

    path: Path
    nbytes: int


def garbage_of(repo: Path) -> list[Garbage]:
    """Snapshots that no ref stands for, blobs that no other snapshot links to, and torn files.

    Changes nothing. Raises ModelError if a ref is none: nobody knows then what it needs.
    """
    refs = [path for path in (repo / "refs").rglob("*") if path.is_symlink() or not path.is_dir()]
    torn = [*repo.glob(".partial"), *repo.glob(".*.partial"), *(p for p in refs if _is_torn(p))]
    commits = {read_ref(path) for path in refs if not _is_torn(path)}
    snapshots = sorted((repo / "snapshots").glob("*"))
    needed = {blob for folder in snapshots if folder.name in commits for blob in _linked(folder)}
    blobs = [path for path in sorted((repo / "blobs").glob("*")) if BLOB.fullmatch(path.name)]
    useless = [
        *(folder for folder in snapshots if folder.name not in commits),
        *(blob for blob in blobs if blob.name not in needed),
        *torn,
    ]
    return [Garbage(path, _size(path)) for path in useless]


def remove(useless: Iterable[Garbage], partial: Path) -> None:
    """Remove it; a snapshot goes by way of `partial`, so that none is ever there in part."""
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


def _is_torn(path: Path) -> bool:
    return path.name.startswith(".") and path.suffix == ".partial"


def _linked(folder: Path) -> set[str]:
    """Names of the blobs that a snapshot's links lead to."""
    return {path.resolve().name for path in folder.rglob("*") if path.is_symlink()}


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; links have none."""
    if path.is_symlink():
        return 0
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(p.lstat().st_size for p in inside if p.is_file() and not p.is_symlink())
