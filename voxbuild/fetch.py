"""The source's files on this disk, proven to be those that were pinned."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import SourceError
from .recipe import Source, SourceFile
from .workspace import read_json, sha256_of, stamp, write_json


@dataclass(frozen=True)
class FetchedFile:
    """A file's size and hash, and the stamp it had when it was hashed."""

    size: int
    sha256: str
    stamp: list[int]


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

    def untouched(self) -> bool:
        """Whether all files still carry their stamps."""
        try:
            return all(stamp(self.folder / name) == f.stamp for name, f in self.files.items())
        except OSError:
            return False


def fetch(source: Source, base: Path, hashed: Callable[[int], None]) -> Fetched:
    """Download into the Hub's cache (resumable), or use the folder in place; check sizes and hashes.

    `base` is the folder that a local path is relative to; `hashed` is told of bytes done.
    Raises SourceError.
    """
    folder = _download(source) if source.hub else (base / str(source.path)).resolve()
    return Fetched(folder, {f.name: _checked(folder, f, source.name, hashed) for f in source.files})


def _checked(folder: Path, file: SourceFile, source: str, hashed: Callable[[int], None]) -> FetchedFile:
    """The hub client verifies no hash of a download, so everything is hashed here before it is parsed."""
    path = folder / file.name
    if not path.is_file():
        raise SourceError(f"{path}: the file is missing, though the source {source} lists it")
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        raise SourceError(
            f"{path}: {size:,} bytes instead of {file.size:,}: truncated or another file than the"
            f" source {source} pins; delete it and fetch again"
        )
    before = stamp(path)
    digest = sha256_of(path, hashed)
    if file.sha256 is not None and digest != file.sha256:
        raise SourceError(
            f"{path}: sha256 {digest} instead of {file.sha256}: damaged or another file than the"
            f" source {source} pins; delete it and fetch again"
        )
    return FetchedFile(size, digest, before)


def _download(source: Source) -> Path:
    import huggingface_hub
    from huggingface_hub.errors import HTTPError, LocalEntryNotFoundError  # type: ignore[attr-defined]

    assert source.hub is not None
    try:
        folder = huggingface_hub.snapshot_download(
            source.hub.repo,
            revision=source.hub.revision,
            allow_patterns=[file.name for file in source.files],
        )
    except LocalEntryNotFoundError as error:
        raise SourceError(
            f"{source.hub.repo}: not in the cache, and the Hub cannot be reached; "
            "check the network, or build over the embedded model with source=tiny"
        ) from error
    except (HTTPError, OSError, ValueError) as error:
        raise SourceError(f"{source.hub.repo} at {source.hub.revision}: {error}") from error
    return Path(folder)
