"""Sources and clip sets: where checkpoints and recordings come from."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args

import pydantic

from voxbuild.statistics.normalise import Normaliser, normaliser_for

from .gates import Gates
from .hub_terms import OTHER, Language, License, Repo
from .origins.base import Corpus, Origin
from .origins.fleurs import FleursFiles
from .origins.folder import ClipFolder, LocalFolder
from .origins.hub import HubFiles, Sha256
from .origins.parquet import ParquetFiles
from .schema import FileName, FilePath, Strict

ADAPTER = "adapter"
"""The folder of an adapter's files in the names of a source's files."""


class SourceFile(Strict):
    """One file of a source; size and hash are checked if given."""

    name: FilePath
    size: int | None = None
    sha256: Sha256 | None = None


class Adapter(Strict):
    """A LoRA adapter in PEFT's two files: on the Hub, or in a folder relative to this file."""

    hub: HubFiles | None = None
    path: LocalFolder | None = None

    @pydantic.model_validator(mode="after")
    def _in_one_place(self) -> "Adapter":
        _one_place(self, Origin, "adapter")
        return self

    @property
    def origin(self) -> Origin:
        """Where its files are."""
        return next(value for value in vars(self).values() if isinstance(value, Origin))


class Source(Strict):
    """A checkpoint: on the Hub, pinned to a commit, or in a folder relative to this file."""

    name: FileName
    model: FileName
    """The name that its artifacts' names begin with."""
    summary: str
    hub: HubFiles | None = None
    path: LocalFolder | None = None
    files: Annotated[tuple[SourceFile, ...], pydantic.Field(min_length=1)]
    weights: FilePath | Annotated[tuple[FilePath, ...], pydantic.Field(min_length=1)] = (
        "consolidated.safetensors"
    )
    """The file of the tensors, or all of its shards."""
    params: FilePath = "params.json"
    tokenizer: FilePath = "tekken.json"
    adapter: Adapter | None = None
    """A LoRA adapter that is merged into the weights."""
    base_model: Repo | None = None
    """The model on the Hub that it was fine-tuned from."""
    private: bool = False
    """Whether its artifacts are published publicly only if that is asked for."""
    license_name: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """Of a licence that the Hub does not know (`license: other`)."""
    license_link: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """Its URL, or the name of its file in the repository."""
    license: License
    """One of the Hub's ids."""
    languages: tuple[Language, ...]
    attribution: str | None = None
    gates: Gates = Gates()
    """Limits for all its artifacts; a recipe can only make them stricter."""
    clips: tuple[FileName, ...] = ()
    """Clip sets that its artifacts are validated with, in addition to the recipe's."""

    @pydantic.field_validator("license")
    @classmethod
    def _is_named(cls, license: str, info: pydantic.ValidationInfo) -> str:
        if license == OTHER and None in (info.data.get("license_name"), info.data.get("license_link")):
            raise ValueError(f"`{OTHER}` needs license_name and license_link")
        return license

    @pydantic.model_validator(mode="after")
    def _has_its_files(self) -> "Source":
        _one_place(self, Origin, "source")
        names = {file.name for file in self.files}
        if beside := sorted(name for name in names if name.startswith(f"{ADAPTER}/")):
            raise ValueError(f"`files:` lists {beside[0]}, but {ADAPTER}/ stands for the files of an adapter")
        for needed in (*self.weight_files, self.params, self.tokenizer):
            if needed not in names:
                raise ValueError(f"`files:` does not list {needed}")
        return self

    @property
    def origin(self) -> Origin:
        """Where its files are."""
        return next(value for value in vars(self).values() if isinstance(value, Origin))

    def is_pinned(self, name: str) -> bool:
        """Whether a file of it, or of its adapter, can only be one: by its sha256, or a commit on the Hub."""
        if self.adapter and name.startswith(f"{ADAPTER}/"):
            return bool(self.adapter.origin.identity)
        return bool(self.origin.identity) or any(f.name == name and f.sha256 for f in self.files)

    @property
    def own_license(self) -> tuple[str, str] | None:
        """Name and link of a licence that is not one of the Hub's."""
        if self.license != OTHER:
            return None
        return str(self.license_name), str(self.license_link)

    @property
    def weight_files(self) -> tuple[str, ...]:
        """The names of the files that hold the tensors."""
        return (self.weights,) if isinstance(self.weights, str) else self.weights


class ClipSet(Strict):
    """Recordings with transcripts: a folder with a transcripts.tsv, or a data set on the Hub."""

    name: FileName
    summary: str
    folder: ClipFolder | None = None
    fleurs: FleursFiles | None = None
    parquet: ParquetFiles | None = None
    language: str
    spoken_digits: bool = False
    """Whether digits are read one by one: then each is compared as a word."""
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

    @property
    def normaliser(self) -> Normaliser:
        """The form in which its transcripts are compared."""
        return normaliser_for(self.language, self.spoken_digits)


def _one_place(section: Strict, kind: type, what: str) -> None:
    """Raises ValueError unless exactly one of the section's fields holds a `kind`."""
    if sum(isinstance(value, kind) for value in vars(section).values()) != 1:
        names = [
            f"`{name}:`"
            for name, field in type(section).model_fields.items()
            if any(isinstance(each, type) and issubclass(each, kind) for each in get_args(field.annotation))
        ]
        raise ValueError(f"a {what} needs exactly one of {' or '.join(names)}")


def origin_of(identity: Mapping[str, Any]) -> Origin | None:
    """The origin in a manifest or a lock, not validated; None: only hashes of files identify the source."""
    found = (kind.of(identity) for kind in Origin.__subclasses__())
    return next((origin for origin in found if origin), None)
