"""A recipe: one artifact variant, as its YAML file describes it."""

import re
from typing import Annotated, Literal

import pydantic

from voxbuild.tensors.methods import METHODS

from .gates import Gates
from .hub_terms import check_tag
from .loaders import LOADERS
from .quantization import Budget, Quantize
from .schema import FieldError, FileName, Strict, known_names, size_in_bytes

DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
PLACEHOLDER = "your-name"
"""The owner of the repositories in a new project's recipes, until somebody puts in another."""
SHIPPED_OWNERS = (PLACEHOLDER, "voxbuild")
"""Owners in the recipes as they come."""
Tag = Annotated[str, pydantic.AfterValidator(check_tag)]
_REPO = re.compile(r"([\w.-]|\{(model|recipe)\})+/([\w.-]|\{(model|recipe)\})+")
_VIEW = re.compile(r"(\{repo\}|([\w.-]|\{(model|recipe)\})+/)([\w.-]|\{(model|recipe|dialect)\})+")


def _check_repo(value: str) -> str:
    if not _REPO.fullmatch(value):
        raise ValueError(
            "not OWNER/NAME, such as me/{model}-{recipe}; only {model} and {recipe} are filled in, and other"
            " characters are letters, digits, dots, dashes and underscores"
        )
    return value


def _check_view(value: str) -> str:
    if not _VIEW.fullmatch(value):
        raise ValueError(
            "not OWNER/NAME, such as {repo}-{dialect}; only {repo}, {model}, {recipe} and {dialect} are"
            " filled in, and other characters are letters, digits, dots, dashes and underscores"
        )
    return value


RepoTemplate = Annotated[str, pydantic.AfterValidator(_check_repo)]
ViewTemplate = Annotated[str, pydantic.AfterValidator(_check_view)]


class Validate(Strict):
    """The clip sets to transcribe, and the limits."""

    clips: Annotated[tuple[FileName, ...], pydantic.Field(min_length=1)]
    gates: Gates


class Publish(Strict):
    """Where an artifact is published. `{model}` and `{recipe}` in the repository's name are replaced."""

    repo: RepoTemplate
    tag: Tag | None = None
    """Default: v and the version of voxbuild."""
    view: ViewTemplate = "{repo}-{dialect}"
    """The repository of a view; `{dialect}`, and `{repo}` for the artifact's, are replaced too."""
    private: bool | None = None
    """Whether the repositories are private. Default: as the source's `private` says."""


class Sign(Strict):
    """The signer's public key; VOXBUILD_SIGNING_KEY names the private key, never a recipe."""

    public_key: str
    """A PEM file, relative to this one."""


class Shards(Strict):
    """How the weights are split into files."""

    max_size: Annotated[str, pydantic.Field(pattern=r"^[1-9]\d*(MB|GB)$")] = "5GB"

    @property
    def max_bytes(self) -> int:
        """The limit in bytes."""
        return size_in_bytes(self.max_size)


class Recipe(Strict):
    """One artifact variant."""

    name: FileName
    summary: str
    source: FileName
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    quantize: Quantize | None = None
    dialects: tuple[str, ...] = ()
    """Loaders that must be able to read the artifact; a view is built for those that need one."""
    calibrate: FileName | None = None
    """The clip set over which inputs are measured for a search that needs that."""
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
                raise FieldError(f"unknown dialect {name}; {known_names(LOADERS)}", number)
            if name in names[:number]:
                raise FieldError(f"{name} is listed twice", number)
        return names

    @pydantic.model_validator(mode="after")
    def _has_distinct_names(self) -> "Recipe":
        """The artifact and its views must be published under different names."""
        repo, about = self.publish.repo, {"model": "{model}", "recipe": "{recipe}"}
        views = [self.publish.view.format(repo=repo, dialect=name, **about) for name in self.dialects]
        if len({repo, *views}) <= len(views):
            raise FieldError("the artifact and its views need different names", "publish")
        return self

    @pydantic.model_validator(mode="after")
    def _is_calibrated_if_needed(self) -> "Recipe":
        needed = self.quantize.calibrated if self.quantize else {}
        if needed and self.calibrate is None:
            raise FieldError(
                f"`search: {next(iter(needed))}` needs `calibrate:` with a clip set's name", "quantize"
            )
        if self.budget and self.calibrate is None:
            raise FieldError("a size limit needs `calibrate:` with a clip set's name", "quantize", "bits")
        if self.calibrate is not None and not needed and not self.budget:
            known = " or ".join(name for name, method in METHODS.items() if method.moments)
            raise FieldError(f"nothing is quantized with `search:` {known}, so leave it out", "calibrate")
        return self

    @pydantic.model_validator(mode="after")
    def _can_be_read_with_a_budget(self) -> "Recipe":
        for number, name in enumerate(self.dialects if self.budget else ()):
            loader = LOADERS[name]
            if loader.uniform or not loader.modes:
                reads = "one setting for all matrices" if loader.uniform else "unquantized weights only"
                why = f"{name} reads {reads}, but a size limit gives each matrix its own"
                raise FieldError(why, "dialects", number)
        return self

    @property
    def budget(self) -> Budget | None:
        """The limit of its size, if that decides who gets how many bits."""
        return self.quantize.budget if self.quantize else None

    @property
    def moments(self) -> str | None:
        """The kind of moments that its calibration measures; None: it has none."""
        return self.quantize.moments if self.quantize else None
