"""Download a source's files, and verify that they are the pinned ones."""

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
    """A file's size and hash, and its stamp when it was fetched."""

    size: int
    sha256: str
    stamp: list[int]
    hashed: bool = True
    """Whether the hash was computed; a pinned hash of weights is verified when they are converted."""

    def is_proven(self, proof: Path) -> bool:
        """Whether the hash was verified for the file as it is; `proof` is the file that `prove` writes."""
        return self.hashed or read_state(proof) == self._proof()

    def prove(self, digest: str, path: Path, source: str, proof: Path) -> None:
        """Record that the file at `path` has the pinned hash. Raises SourceError if `digest` is another."""
        if digest != self.sha256:
            raise _differs(path, f"sha256 {digest}", self.sha256, source)
        write_json(proof, self._proof())

    def _proof(self) -> dict[str, Any]:
        return {"sha256": self.sha256, "stamp": self.stamp}


@dataclass(frozen=True)
class Fetched:
    """A source's folder and its files by name."""

    folder: Path
    files: dict[str, FetchedFile]

    def identity(self) -> dict[str, Any]:
        """Size and hash of each file, wherever it is."""
        return {n: {"size": f.size, "sha256": f.sha256} for n, f in self.files.items()}

    def save(self, path: Path) -> None:
        """Write it to a file for the other stages."""
        write_json(path, {"folder": str(self.folder), "files": {n: vars(f) for n, f in self.files.items()}})

    @classmethod
    def load(cls, path: Path) -> "Fetched":
        """Read what `save` wrote."""
        raw = read_json(path)
        return cls(Path(raw["folder"]), {n: FetchedFile(**f) for n, f in raw["files"].items()})

    def touched(self) -> list[str]:
        """The files whose stamps have changed."""
        return [name for name, file in self.files.items() if not _has_stamp(self.folder / name, file.stamp)]


def _has_stamp(path: Path, expected: list[int]) -> bool:
    try:
        return stamp(path) == expected
    except OSError:
        return False


def fetch(source: Source, base: Path, hashed: Callable[[int], None]) -> Fetched:
    """Download into the Hub's cache, or use the folder in place; check sizes and hashes.

    Weights whose hash is pinned, or given by the Hub, are not read here: conversion verifies their hash while
    it reads them. `base` is the folder that local paths are relative to; `hashed` gets bytes as they are
    hashed. Raises SourceError.
    """
    folder = source.origin.fetch(base, [file.name for file in source.files])
    return Fetched(folder, {f.name: _checked(folder, f, source, hashed) for f in source.files})


def _checked(folder: Path, file: SourceFile, source: Source, hashed: Callable[[int], None]) -> FetchedFile:
    """Check a file's size and, if it is not the weights, its hash, which the Hub's client does not verify."""
    path = (folder / file.name).resolve()  # in the Hub's cache a link; errors name its target
    if not path.is_file():
        raise SourceError(
            f"{folder / file.name}: the file is missing, though the source {source.name} lists it;"
            " fetch again, online if it is on the Hub"
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
    """The Hub's sha256 of a large file: the name of its blob in the Hub's cache."""
    return path.name if re.fullmatch("[0-9a-f]{64}", path.name) else None


def _differs(path: Path, found: str, pinned: str | None, source: str) -> SourceError:
    return SourceError(
        f"{path}: {found} instead of {pinned}: damaged, truncated, or not the file that the source {source}"
        " pins; delete it and fetch again"
    )
