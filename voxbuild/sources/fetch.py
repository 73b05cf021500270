"""The source's files on this disk, proven to be those that were pinned."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbuild.errors import SourceError
from voxbuild.files import read_json, read_state, stamp, write_json
from voxbuild.recipes.source import Source, SourceFile
from voxrun.files.hashes import sha256_of


@dataclass(frozen=True)
class FetchedFile:
    """A file's size and hash, and the stamp it had when it was looked at."""

    size: int
    sha256: str
    stamp: list[int]
    hashed: bool = True
    """Whether the hash is known to be the file's: that of large weights is proven when they are converted."""

    def is_proven(self, proof: Path) -> bool:
        """Whether the file, as it is, was read to its end and has the hash; `proof` is what `prove` wrote."""
        return self.hashed or read_state(proof) == self._proof()

    def prove(self, digest: str, path: Path, source: str, proof: Path) -> None:
        """The file at `path` was read, and this is its hash. Raises SourceError if it should have another."""
        if digest != self.sha256:
            raise _differs(path, f"sha256 {digest}", self.sha256, source)
        write_json(proof, self._proof())

    def _proof(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "stamp": self.stamp}


@dataclass(frozen=True)
class Fetched:
    """A source's folder and what is in it."""

    folder: Path
    files: dict[str, FetchedFile]

    def identity(self) -> dict[str, Any]:
        """Size and hash of each file: the same wherever it lies."""
        return {n: {"size": f.size, "sha256": f.sha256} for n, f in self.files.items()}

    def save(self, path: Path) -> None:
        """Write it for the other stages."""
        write_json(path, {"folder": str(self.folder), "files": {n: vars(f) for n, f in self.files.items()}})

    @classmethod
    def load(cls, path: Path) -> "Fetched":
        """Read what `save` wrote."""
        raw = read_json(path)
        return cls(Path(raw["folder"]), {n: FetchedFile(**f) for n, f in raw["files"].items()})

    def touched(self) -> list[str]:
        """The files that no longer carry their stamps."""
        return [name for name, file in self.files.items() if not _carries(self.folder / name, file.stamp)]


def _carries(path: Path, expected: list[int]) -> bool:
    try:
        return stamp(path) == expected
    except OSError:
        return False


def fetch(source: Source, base: Path, hashed: Callable[[int], None]) -> Fetched:
    """Download into the Hub's cache (resumable), or use the folder in place; check sizes and hashes.

    Weights whose hash is pinned, or told by the Hub, are not read here: conversion reads them once, and
    proves their hash before there is an artifact. `base` is the folder that a local path is relative to;
    `hashed` is told of bytes done. Raises SourceError.
    """
    folder = source.origin.fetch(base, [file.name for file in source.files])
    return Fetched(folder, {f.name: _checked(folder, f, source, hashed) for f in source.files})


def _checked(folder: Path, file: SourceFile, source: Source, hashed: Callable[[int], None]) -> FetchedFile:
    """The hub client verifies no hash of a download: here it is done, or when the weights are converted."""
    path = (folder / file.name).resolve()  # in the Hub's cache a link; what is wrong is what it leads to
    if not path.is_file():
        raise SourceError(
            f"{folder / file.name}: the file is missing, though the source {source.name} lists it;"
            " fetch again, with the network if it is on the Hub"
        )
    before = stamp(path)
    if file.size is not None and before[0] != file.size:
        raise _differs(path, f"{before[0]:,} bytes", f"{file.size:,}", source.name)
    pinned = file.sha256 or _blob_hash(path)
    if pinned and file.name == source.weights:
        return FetchedFile(before[0], pinned, before, hashed=False)
    digest = sha256_of(path, hashed)
    if pinned not in (None, digest):
        raise _differs(path, f"sha256 {digest}", pinned, source.name)
    return FetchedFile(before[0], digest, before)


def _blob_hash(path: Path) -> str | None:
    """The sha256 that the Hub gave for a large file: the Hub's cache calls the blob by it."""
    return path.name if re.fullmatch("[0-9a-f]{64}", path.name) else None


def _differs(path: Path, found: str, pinned: str | None, source: str) -> SourceError:
    return SourceError(
        f"{path}: {found} instead of {pinned}: damaged, truncated, or another file than the source {source}"
        " pins; delete it and fetch again"
    )
