"""Sources and clip sets: where checkpoints and recordings come from."""

from collections.abc import Mapping
from typing import Annotated, Any

import pydantic

from .gates import Gates
from .origins.base import Corpus, Origin, field_names
from .origins.fleurs import FleursFiles
from .origins.folder import ClipFolder, LocalFolder
from .origins.hub import HubFiles, Sha256
from .schema import FileName, FilePath, Strict


class SourceFile(Strict):
    """One file of a source; size and hash are checked where they are given."""

    name: FilePath
    size: int | None = None
    sha256: Sha256 | None = None


class Source(Strict):
    """A pinned upstream checkpoint: on the Hub, or in a folder relative to this file."""

    name: FileName
    model: FileName
    """How artifacts are called after it."""
    summary: str
    hub: HubFiles | None = None
    path: LocalFolder | None = None
    files: Annotated[tuple[SourceFile, ...], pydantic.Field(min_length=1)]
    weights: FilePath = "consolidated.safetensors"
    params: FilePath = "params.json"
    tokenizer: FilePath = "tekken.json"
    license: str
    languages: tuple[str, ...]
    attribution: str | None = None
    gates: Gates = Gates()
    """Limits for any artifact made from it; a recipe may only be stricter."""
    clips: tuple[FileName, ...] = ()
    """Clip sets that its artifacts are validated with, beside the recipe's."""

    @pydantic.model_validator(mode="after")
    def _has_its_files(self) -> "Source":
        _one_place(self, Origin, "source")
        names = {file.name for file in self.files}
        for needed in (self.weights, self.params, self.tokenizer):
            if needed not in names:
                raise ValueError(f"`files:` does not list {needed}")
        return self

    @property
    def origin(self) -> Origin:
        """Where its files are."""
        return next(value for value in vars(self).values() if isinstance(value, Origin))


class ClipSet(Strict):
    """Recordings with transcripts: a folder with a transcripts.tsv, or a corpus on the Hub."""

    name: FileName
    summary: str
    folder: ClipFolder | None = None
    fleurs: FleursFiles | None = None
    language: str
    license: str
    attribution: str

    @pydantic.model_validator(mode="after")
    def _in_one_place(self) -> "ClipSet":
        _one_place(self, Corpus, "clip set")
        return self

    @property
    def corpus(self) -> Corpus:
        """Where its recordings are."""
        return next(value for value in vars(self).values() if isinstance(value, Corpus))


def _one_place(section: Strict, kind: type, what: str) -> None:
    """Raises ValueError unless exactly one of the section's places is given."""
    if sum(isinstance(value, kind) for value in vars(section).values()) != 1:
        names = " or ".join(f"`{name}:`" for name in field_names(type(section), kind))
        raise ValueError(f"a {what} says either {names}")


def origin_of(identity: Mapping[str, Any]) -> Origin | None:
    """The origin that a manifest or a lock names, unchecked; None: files alone identify the source."""
    found = (kind.of(identity) for kind in Origin.__subclasses__())
    return next((origin for origin in found if origin), None)
