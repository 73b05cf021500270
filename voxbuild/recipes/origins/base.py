"""The interfaces of the places that hold a source's files, or a clip set's recordings."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .remote import RemoteFile


class Origin(ABC):
    """Where a source's files are. `base` is the folder that local paths are relative to."""

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> "Origin | None":
        """The origin with this identity, as in a manifest or a lock; None if it is of another kind."""
        return None

    @property
    def identity(self) -> dict[str, str]:
        """Its fields in manifests and locks, in addition to the files' hashes."""
        return {}

    @property
    def base_model(self) -> str | None:
        """The Hub repository, if it is one."""
        return None

    def folder(self, base: Path) -> Path | None:
        """The folder, if it is used in place; None: files are downloaded into a cache."""
        return None

    @abstractmethod
    def fetch(self, base: Path, names: list[str]) -> Path:
        """The folder with these files, downloaded if necessary. Raises SourceError."""

    @abstractmethod
    def file(self, base: Path, name: str) -> Path:
        """One small file, downloaded if necessary. Raises SourceError."""

    @abstractmethod
    def cached(self, base: Path, name: str) -> Path | None:
        """The path of a file if it need not be downloaded. Raises SourceError."""

    @abstractmethod
    def read(self, name: str, first: int, count: int) -> tuple[bytes, int]:
        """`count` bytes of a remote file from offset `first`, and the file's size. Raises SourceError."""

    def remote(self, name: str) -> RemoteFile | None:
        """A file to receive range by range; None: it is here, and used in place."""
        return None

    def repository(self) -> dict[str, Any] | None:
        """Its in-toto ResourceDescriptor without a name; None: only its files have hashes."""
        return None

    def uri(self, name: str) -> str | None:
        """The URL of a file."""
        return None

    def component(self, model: str) -> dict[str, str]:
        """Its identifying fields in a CycloneDX component; `model` is the source's name for it."""
        return {"name": model}


@dataclass(frozen=True)
class Clip:
    """One recording and its transcript, which is empty if nobody wrote one."""

    name: str
    path: Path
    text: str
    speaker: str | None = None
    """Who speaks, or what else clips of a set share that depend on each other; None: unknown."""


class Corpus(ABC):
    """Where a clip set's recordings are. `base` is the folder that local paths are relative to."""

    @property
    @abstractmethod
    def recordings(self) -> tuple[str, ...]:
        """What tells its recordings from those of other clip sets."""

    def may_share(self, other: "Corpus") -> bool:
        """Whether some recordings may be in the other, too. Either of two may know it: ask both."""
        return self.recordings == other.recordings

    @abstractmethod
    def clips(self, name: str, base: Path) -> list[Clip]:
        """The clips; `name` is the clip set's. Raises SourceError."""

    def unlabelled(self, name: str, base: Path) -> list[Clip]:
        """The same, of which nobody needs to know what is said in them. Raises SourceError."""
        return self.clips(name, base)

    def files(self, base: Path) -> list[Path]:
        """Files that may change between builds; none if a revision is pinned."""
        return []

    def pinned(self) -> dict[str, Any] | None:
        """The in-toto ResourceDescriptor, without a name, of a pinned corpus; None: its files have hashes."""
        return None

    @property
    def url(self) -> str | None:
        """Its web page."""
        return None

    def dataset(self) -> dict[str, Any] | None:
        """Its dataset_type (id), _config, _split and _revision in a model card; None: not on the Hub."""
        return None
