"""Download a source's files, and verify that they are the pinned ones."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbuild.errors import CheckpointError, DamagedError, SourceError
from voxbuild.files import read_json, read_state, stamp, write_json
from voxbuild.recipes.origins.base import Origin
from voxbuild.recipes.source import ADAPTER, Source, SourceFile
from voxbuild.tensors.adapter import ADAPTER_FILES, NO_ADAPTER, WEIGHTS, Adapter, read_adapter
from voxbuild.tensors.source_files import SourceFiles, Stamps
from voxbuild.tensors.streamed import Remote
from voxrun.checkpoint.config import ModelConfig
from voxrun.files.hashes import sha256_of

from .header import refuse_missing_folder
from .streaming import open_remote, told


@dataclass(frozen=True)
class FetchedFile:
    """A file's size and hash, and its stamp when it was fetched."""

    size: int
    sha256: str
    stamp: list[int] | None
    """None: it is streamed, so it is not on the disk."""
    hashed: bool = True
    """Whether the hash was computed; a pinned hash of weights is verified when they are converted."""

    @property
    def streamed(self) -> bool:
        """Whether it is received anew whenever it is read."""
        return self.stamp is None


@dataclass(frozen=True)
class Fetched:
    """A source's folder and its files by name; and its adapter's."""

    folder: Path
    files: dict[str, FetchedFile]
    adapter: "Fetched | None" = None

    def path(self, name: str) -> Path:
        """A file's path, with links resolved: a source may consist of links, as in the Hub's cache."""
        return (self.folder / name).resolve()

    def identity(self) -> dict[str, Any]:
        """Size and hash of each file, wherever it is; those of the adapter are under ADAPTER."""
        own = {n: {"size": f.size, "sha256": f.sha256} for n, f in self.files.items()}
        theirs = self.adapter.identity() if self.adapter else {}
        return own | {f"{ADAPTER}/{name}": entry for name, entry in theirs.items()}

    def save(self, path: Path) -> None:
        """Write it to a file for the other stages."""
        write_json(path, self._content())

    def _content(self) -> dict[str, Any]:
        content = {"folder": str(self.folder), "files": {n: vars(f) for n, f in self.files.items()}}
        return content | ({ADAPTER: self.adapter._content()} if self.adapter else {})

    @classmethod
    def load(cls, path: Path) -> "Fetched":
        """Read what `save` wrote."""
        return cls._of(read_json(path))

    @classmethod
    def _of(cls, raw: Any) -> "Fetched":
        files = {n: FetchedFile(**f) for n, f in raw["files"].items()}
        return cls(Path(raw["folder"]), files, cls._of(raw[ADAPTER]) if ADAPTER in raw else None)

    @property
    def streamed(self) -> list[str]:
        """The files that are not on the disk."""
        return [name for name, file in self.files.items() if file.streamed]

    def touched(self) -> list[str]:
        """The files on the disk whose stamps have changed."""
        here = {name: file.stamp for name, file in self.files.items() if file.stamp is not None}
        own = [name for name, stamp in here.items() if not _has_stamp(self.folder / name, stamp)]
        return own + [f"{ADAPTER}/{name}" for name in (self.adapter.touched() if self.adapter else ())]

    def moved(self, source: Source, base: Path) -> str | None:
        """From where to where, if source or adapter are now in another folder; `base`: see `fetch`."""
        pairs: list[tuple[Origin, Fetched]] = [(source.origin, self)]
        if source.adapter and self.adapter:
            pairs.append((source.adapter.origin, self.adapter))
        places = [(fetched.folder, origin.folder(base)) for origin, fetched in pairs]
        return next((f"from {was} to {now}" for was, now in places if now not in (None, was)), None)

    def open_weights(self, source: Source, stamps: Stamps | None = None) -> SourceFiles:
        """The weight files, open; `stamps` are those that they must have on the disk.

        Raises CheckpointError; SourceError for files on the Hub that are not what they were.
        """
        return SourceFiles({name: self._place(source, name) for name in source.weight_files}, stamps)

    def _place(self, source: Source, name: str) -> Path | Remote:
        file = self.files[name]
        return open_remote(source, name, file.size, file.sha256) if file.streamed else self.path(name)

    def read_adapter(self, params: Mapping[str, Any]) -> Adapter:
        """The adapter for a model with this configuration; one without updates if there is none.

        Raises CheckpointError, also if it has changed since it was fetched.
        """
        if self.adapter is None:
            return NO_ADAPTER
        if touched := self.adapter.touched():
            files = f"{', '.join(touched)} in {self.adapter.folder}"
            raise CheckpointError(f"{files}: changed since the adapter was fetched; run it again")
        config, weights = ModelConfig.from_dict(params, "the configuration"), self.adapter.files[WEIGHTS]
        return read_adapter(self.adapter.folder, config, weights.stamp)


class Proofs:
    """The weight files whose pinned hash was verified for the file as it is, recorded in a file."""

    def __init__(self, path: Path, fetched: Fetched, source: str) -> None:
        self._path, self._fetched, self._source = path, fetched, source

    def missing(self, names: Iterable[str]) -> list[str]:
        """The files whose hash must still be computed."""
        known = read_state(self._path)
        proven = known if isinstance(known, dict) else {}
        files = self._fetched.files
        return [name for name in names if not files[name].hashed and proven.get(name) != self._proof(name)]

    def complete(self, names: Iterable[str], hashed: Callable[[int], None]) -> None:
        """Hash the files whose hash must still be computed.

        Raises SourceError as `add` does, and for streamed files: received again, they may be others.
        """
        for name in self.missing(names):
            if self._fetched.files[name].streamed:
                raise SourceError(
                    f"{name} of {self._source}: its tensors are not in the order of their names, so it cannot"
                    " be streamed; download it: fetch=disk"
                )
            self.add(name, sha256_of(self._fetched.path(name), hashed))

    def add(self, name: str, digest: str) -> None:
        """Record that a file has its pinned hash; a streamed one is received anew the next time.

        Raises DamagedError if `digest` is another.
        """
        file = self._fetched.files[name]
        if digest != file.sha256:
            place = f"{self._source}/{name}" if file.streamed else self._fetched.path(name)
            raise _differs(place, f"sha256 {digest}", file.sha256, self._source)
        if file.streamed:
            return
        known = read_state(self._path)
        write_json(self._path, (known if isinstance(known, dict) else {}) | {name: self._proof(name)})

    def _proof(self, name: str) -> dict[str, Any]:
        file = self._fetched.files[name]
        return {"sha256": file.sha256, "stamp": file.stamp}


def _has_stamp(path: Path, expected: list[int]) -> bool:
    try:
        return stamp(path) == expected
    except OSError:
        return False


def fetch(source: Source, base: Path, hashed: Callable[[int], None], stream: bool = False) -> Fetched:
    """Download into the Hub's cache, or use the folder in place; check sizes and hashes.

    Weights whose hash is pinned, or given by the Hub, are not read here: conversion verifies their hash while
    it reads them. With `stream`, weights on the Hub that are not in its cache stay there. `base` is the
    folder that local paths are relative to; `hashed` gets bytes as they are hashed. Raises SourceError.
    """
    refuse_missing_folder(source, base)
    there = {f.name: _streamed(f, source) for f in to_receive(source, base)} if stream else {}
    folder = source.origin.fetch(base, [file.name for file in source.files if file.name not in there])
    files = {f.name: there.get(f.name) or _checked(folder, f, source, hashed) for f in source.files}
    return Fetched(folder, files, _fetch_adapter(source, base, hashed) if source.adapter else None)


def to_receive(source: Source, base: Path) -> list[SourceFile]:
    """The weight files that are neither in a folder nor in the Hub's cache."""
    weights = [file for file in source.files if file.name in source.weight_files]
    return [file for file in weights if source.origin.cached(base, file.name) is None]


def _streamed(file: SourceFile, source: Source) -> FetchedFile:
    size, sha256 = told(source, file)
    return FetchedFile(size, sha256, None, hashed=False)


def _fetch_adapter(source: Source, base: Path, hashed: Callable[[int], None]) -> Fetched:
    assert source.adapter
    folder = source.adapter.origin.fetch(base, list(ADAPTER_FILES))
    files = [SourceFile(name=name) for name in ADAPTER_FILES]
    return Fetched(folder, {f.name: _checked(folder, f, source, hashed) for f in files})


def _checked(folder: Path, file: SourceFile, source: Source, hashed: Callable[[int], None]) -> FetchedFile:
    """Check a file's size and, if it is not the weights, its hash, which the Hub's client does not verify."""
    path = (folder / file.name).resolve()  # in the Hub's cache a link; errors name its target
    if not path.is_file():
        raise SourceError(
            f"{folder / file.name}: the file is missing, though the source {source.name} lists it;"
            " put it back, or fetch again, online if it is on the Hub"
        )
    before = stamp(path)
    if file.size is not None and before[0] != file.size:
        raise _differs(path, f"{before[0]:,} bytes", f"{file.size:,}", source.name)
    pinned = file.sha256 or _blob_hash(path)
    if pinned and file.name in source.weight_files:
        return FetchedFile(before[0], pinned, before, hashed=False)
    digest = sha256_of(path, hashed)
    if pinned not in (None, digest):
        raise _differs(path, f"sha256 {digest}", pinned, source.name)
    return FetchedFile(before[0], digest, before)


def _blob_hash(path: Path) -> str | None:
    """The Hub's sha256 of a large file: the name of its blob in the Hub's cache."""
    return path.name if re.fullmatch("[0-9a-f]{64}", path.name) else None


def _differs(path: Path | str, found: str, pinned: str | None, source: str) -> SourceError:
    return DamagedError(
        f"{path}: {found} instead of {pinned}: damaged, truncated, or not the file that the source {source}"
        " pins; delete it and fetch again"
    )
