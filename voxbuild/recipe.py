"""Recipes, sources and clip sets: what the YAML files may say."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import pydantic

from .errors import RecipeError
from .gates import Gates
from .loaders import LOADERS
from .quantizing import Quantize
from .schema import FieldError, FileName, FilePath, Section, Strict, load_folder, place

DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
UNITS = {"MB": 10**6, "GB": 10**9}

Sha256 = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, pydantic.Field(pattern=r"^[0-9a-f]{40}$")]
Tag = Annotated[str, pydantic.Field(pattern=r"^\w[\w.-]*$")]
Repo = Annotated[str, pydantic.Field(pattern=r"^[\w.-]+/[\w.-]+$")]
RepoTemplate = Annotated[
    str, pydantic.Field(pattern=r"^([\w.-]|\{(model|recipe)\})+/([\w.-]|\{(model|recipe)\})+$")
]
ViewTemplate = Annotated[
    str,
    pydantic.Field(pattern=r"^(\{repo\}|([\w.-]|\{(model|recipe)\})+/)([\w.-]|\{(model|recipe|dialect)\})+$"),
]


class Validate(Strict):
    """Which clip sets are transcribed, and what must come out."""

    clips: Annotated[tuple[FileName, ...], pydantic.Field(min_length=1)]
    gates: Gates


class Publish(Strict):
    """Where an artifact goes. `{model}` and `{recipe}` in the repository's name are filled in."""

    repo: RepoTemplate
    tag: Tag | None = None
    """Default: v and the version of voxbuild."""
    view: ViewTemplate = "{repo}-{dialect}"
    """The same for a view, which may also say `{dialect}`, and `{repo}` for the artifact's."""


class Sign(Strict):
    """Who vouches for the artifact; the private key is named by VOXBUILD_SIGNING_KEY, never in a recipe."""

    public_key: str
    """A PEM file, relative to this one."""


class Shards(Strict):
    """How the weights are cut into files."""

    max_size: Annotated[str, pydantic.Field(pattern=r"^[1-9]\d*(MB|GB)$")] = "5GB"

    @property
    def max_bytes(self) -> int:
        """The limit in bytes."""
        return int(self.max_size[:-2]) * UNITS[self.max_size[-2:]]


class Recipe(Strict):
    """One artifact variant."""

    name: FileName
    summary: str
    source: FileName
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    quantize: Quantize | None = None
    dialects: tuple[str, ...] = ()
    """Those of `loaders` that must be able to read it; a view is made where one is needed."""
    calibrate: FileName | None = None
    """The clip set that tells which inputs matter, for `search: activation`."""
    shards: Shards = Shards()
    validation: Annotated[Validate, pydantic.Field(alias="validate")]
    publish: Publish
    sign: Sign | None = None
    card: FileName
    experimental: bool = False

    @pydantic.field_validator("dialects")
    @classmethod
    def _known_dialects(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for number, name in enumerate(names):
            if name not in LOADERS:
                raise FieldError(f"unknown dialect {name}; {_known(LOADERS)}", number)
            if name in names[:number]:
                raise FieldError(f"{name} is there twice", number)
        return names

    @pydantic.model_validator(mode="after")
    def _told_apart(self) -> "Recipe":
        """Neither the artifact nor two of its views may be published under one name."""
        repo, about = self.publish.repo, {"model": "{model}", "recipe": "{recipe}"}
        views = [self.publish.view.format(repo=repo, dialect=name, **about) for name in self.dialects]
        if len({repo, *views}) <= len(views):
            raise FieldError("the artifact and its views need names of their own", "publish")
        return self

    @pydantic.model_validator(mode="after")
    def _calibrated(self) -> "Recipe":
        needed = self.quantize is not None and self.quantize.needs_moments
        if needed and self.calibrate is None:
            raise FieldError(
                "`search: activation` needs `calibrate:` with the name of a clip set", "quantize"
            )
        if self.calibrate is not None and not needed:
            raise FieldError("nothing is quantized with `search: activation`, so leave it out", "calibrate")
        return self


class HubFiles(Strict):
    """A repository at one commit."""

    repo: Repo
    revision: Commit


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
    path: str | None = None
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
    def _in_one_place(self) -> "Source":
        if (self.hub is None) == (self.path is None):
            raise ValueError("a source says either `hub:` or `path:`")
        names = {file.name for file in self.files}
        for needed in (self.weights, self.params, self.tokenizer):
            if needed not in names:
                raise ValueError(f"`files:` does not list {needed}")
        return self


class FleursFiles(Strict):
    """A split of a language of FLEURS on the Hub: a TSV of transcripts and a tar of recordings."""

    repo: Repo
    revision: Commit
    language: FileName
    split: Literal["train", "dev", "test"] = "test"
    limit: Annotated[int, pydantic.Field(gt=0)] | None = None


class ClipSet(Strict):
    """Recordings with transcripts: a folder with a transcripts.tsv, or a corpus on the Hub."""

    name: FileName
    summary: str
    folder: str | None = None
    fleurs: FleursFiles | None = None
    language: str
    license: str
    attribution: str

    @pydantic.model_validator(mode="after")
    def _in_one_place(self) -> "ClipSet":
        if (self.folder is None) == (self.fleurs is None):
            raise ValueError("a clip set says either `folder:` or `fleurs:`")
        return self

    @property
    def recordings(self) -> tuple[str, ...]:
        """What two sets have in common if they may share recordings; splits of a corpus share none."""
        if self.fleurs:
            return self.fleurs.repo, self.fleurs.language, self.fleurs.split
        return (str(self.folder),)


@dataclass(frozen=True)
class Book:
    """All recipes, sources and clip sets of a project."""

    recipes: dict[str, Recipe]
    sources: dict[str, Source]
    clips: dict[str, ClipSet]

    def recipe(self, name: str) -> Recipe:
        """Raises RecipeError with the names there are."""
        return _named("recipe", name, self.recipes)

    def source(self, name: str) -> Source:
        """Raises RecipeError with the names there are."""
        return _named("source", name, self.sources)

    def digest(self, source: Source, recipe: Recipe) -> str:
        """One hash for all that is said about a recipe over a source: both of them, and the clip sets."""
        sections = [recipe, source, *self.clip_sets(source, recipe).values()]
        if recipe.calibrate:
            sections.append(self.clips[recipe.calibrate])
        text = json.dumps([section.model_dump(mode="json") for section in sections], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def clip_sets(self, source: Source, recipe: Recipe) -> dict[str, ClipSet]:
        """The clip sets that validate a recipe over a source."""
        return {name: self.clips[name] for name in (*recipe.validation.clips, *source.clips)}


@cache
def read_book(folder: Path) -> Book:
    """Read recipes/, recipes/sources/ and recipes/clips/, once a process. Raises RecipeError."""
    book = Book(
        recipes=load_folder(folder, Recipe),
        sources=load_folder(folder / "sources", Source),
        clips=load_folder(folder / "clips", ClipSet),
    )
    for recipe in book.recipes.values():
        path = folder / f"{recipe.name}.yaml"
        if recipe.source not in book.sources:
            where = place(path, "source")
            raise RecipeError(f"{where}: unknown source {recipe.source}; {_known(book.sources)}")
        _check_clips(book, recipe.validation.clips, path, "validate", "clips")
    for source in book.sources.values():
        _check_clips(book, source.clips, folder / "sources" / f"{source.name}.yaml", "clips")
    for recipe in book.recipes.values():
        if recipe.calibrate:
            _check_calibration(book, recipe, recipe.calibrate, folder / f"{recipe.name}.yaml")
    return book


def _check_calibration(book: Book, recipe: Recipe, calibrate: str, path: Path) -> None:
    """What was calibrated with proves nothing: it validates over no source, under whatever name."""
    where = place(path, "calibrate")
    if calibrate not in book.clips:
        raise RecipeError(f"{where}: unknown clip set {calibrate}; {_known(book.clips)}")
    for source in book.sources.values():
        for name, clips in book.clip_sets(source, recipe).items():
            if clips.recordings == book.clips[calibrate].recordings:
                raise RecipeError(
                    f"{where}: {calibrate} cannot calibrate what {name} validates (over {source.name}):"
                    " they are the same recordings"
                )


def _check_clips(book: Book, names: Iterable[str], path: Path, *keys: str) -> None:
    for number, name in enumerate(names):
        if name not in book.clips:
            where = place(path, *keys, number)
            raise RecipeError(f"{where}: unknown clip set {name}; {_known(book.clips)}")


def _named(kind: str, name: str, known: dict[str, Section]) -> Section:
    if name not in known:
        raise RecipeError(f"there is no {kind} {name}; {_known(known)}")
    return known[name]


def _known(names: Iterable[str]) -> str:
    return f"known: {', '.join(names)}"
