"""What every kind of place answers about the files, or the recordings, that it holds."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pydantic


class Origin(ABC):
    """Where a source's files are. `base` is the folder that local paths are relative to."""

    @classmethod
    def of(cls, identity: Mapping[str, Any]) -> "Origin | None":
        """The origin that a manifest or a lock means, if it is of this kind and known by its identity."""
        return None

    @property
    def identity(self) -> dict[str, str]:
        """What manifests and locks say of it beside the files' hashes."""
        return {}

    @property
    def base_model(self) -> str | None:
        """The model on the Hub that it is, if it is one."""
        return None

    def folder(self, base: Path) -> Path | None:
        """The folder that is used in place; None: files are downloaded into a cache."""
        return None

    @abstractmethod
    def fetch(self, base: Path, names: list[str]) -> Path:
        """The folder with these files, downloaded if need be. Raises SourceError."""

    @abstractmethod
    def file(self, base: Path, name: str) -> Path:
        """One small file, downloaded if need be. Raises SourceError."""

    @abstractmethod
    def cached(self, base: Path, name: str) -> Path | None:
        """The path of a file that need not be downloaded. Raises SourceError."""

    @abstractmethod
    def read(self, name: str, first: int, count: int) -> tuple[bytes, int]:
        """Some bytes of a file that is not on this disk, and its size. Raises SourceError."""

    def repository(self) -> dict[str, Any] | None:
        """All of it as an in-toto ResourceDescriptor without a name; None: only its files have hashes."""
        return None

    def uri(self, name: str) -> str | None:
        """Where a file can be downloaded."""
        return None

    def component(self, model: str) -> dict[str, str]:
        """The fields that identify it in a CycloneDX component; `model` is the source's own name for it."""
        return {"name": model}


@dataclass(frozen=True)
class Clip:
    """One recording and its transcript."""

    name: str
    path: Path
    text: str


class Corpus(ABC):
    """Where a clip set's recordings are. `base` is the folder that local paths are relative to."""

    @property
    @abstractmethod
    def recordings(self) -> tuple[str, ...]:
        """Equal for two clip sets that may share recordings."""

    @abstractmethod
    def clips(self, name: str, base: Path) -> list[Clip]:
        """The clips of the set of this name. Raises SourceError."""

    def files(self, base: Path) -> list[Path]:
        """The files that may change between builds: none where a revision is pinned."""
        return []

    def pinned(self) -> dict[str, Any] | None:
        """A pinned corpus as an in-toto ResourceDescriptor without a name; None: its files have hashes."""
        return None

    @property
    def url(self) -> str | None:
        """Where a person finds it."""
        return None

    def dataset(self) -> dict[str, Any] | None:
        """In a model card's terms: dataset_type (id), _config, _split, _revision; None: not on the Hub."""
        return None


def field_names(section: type[pydantic.BaseModel], kind: type) -> list[str]:
    """The fields of a YAML section that hold one kind of place each."""
    annotations = {name: field.annotation for name, field in section.model_fields.items()}
    return [
        name
        for name, annotation in annotations.items()
        if any(isinstance(each, type) and issubclass(each, kind) for each in get_args(annotation))
    ]
