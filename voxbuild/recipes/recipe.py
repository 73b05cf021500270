"""A recipe: one artifact variant, as its YAML file describes it."""

from typing import Annotated, Literal

import pydantic

from .gates import Gates
from .loaders import LOADERS
from .quantization import Quantize
from .schema import FieldError, FileName, Strict, known_names

DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}
UNITS = {"MB": 10**6, "GB": 10**9}
Tag = Annotated[str, pydantic.Field(pattern=r"^\w[\w.-]*$")]
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
                raise FieldError(f"unknown dialect {name}; {known_names(LOADERS)}", number)
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
