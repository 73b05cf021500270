"""The published variants of a source, on record: what a card's table and plot show beside its own artifact.

The record lies in the repository, so a card follows from the repository and its artifact alone, and not from
what else happens to be built or published when it is written. `doit siblings` brings it up to date; what the
target knows nothing of stays, unless --replace is said.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pydantic

from voxrun.errors import VoxrunError
from voxrun.manifest import Entry, read_entries

from .errors import MissingError, PublishError, RecipeError
from .loaders import Loader, views_of
from .manifest import MANIFEST, VALIDATION
from .naming import repo_name
from .publish import PublishTarget
from .recipe import Recipe, Sha256, Source
from .schema import Strict
from .subject import Subject
from .workspace import STATE_BYTES, write_json

Positive = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]


class Sibling(Strict):
    """A variant: an artifact, or its view for the loader named by `dialect`."""

    recipe: str
    dialect: str | None = None
    repo: str
    tag: str | None = None
    """None and no digest: not published, but what a card is about."""
    digest: Sha256 | None = None
    """The manifest's sha256."""
    bytes: Annotated[int, pydantic.Field(gt=0)]
    """Size of the weights."""
    bits_per_weight: Positive
    wer: Rate
    """Word error rate in per cent, over all clips."""
    worst_wer: Rate
    """The same in the worst clip set."""


Variant = tuple[str, str | None]
"""The name of a recipe, and of the loader if it is a view."""
Record = tuple[Sibling, ...]
_RECORD: pydantic.TypeAdapter[Record] = pydantic.TypeAdapter(Record)


class _Json(pydantic.BaseModel):
    """Some of what a file says, by type."""

    model_config = pydantic.ConfigDict(strict=True)


class _Rates(_Json):
    wer: Rate


class _Validation(_Json):
    """What is read of a published validation.json."""

    total: _Rates
    sets: Annotated[dict[str, _Rates], pydantic.Field(min_length=1)]


class _Manifest(_Json):
    """What is read of a published manifest.json, beside its files."""

    variant: str
    model: str
    bits_per_weight: Positive
    files: dict[str, object]


def read_record(path: Path) -> Record:
    """The variants on record, largest first; none if there is no record. Raises RecipeError."""
    try:
        return _RECORD.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, pydantic.ValidationError) as error:
        said = "; ".join(str(error).splitlines()[:3])
        raise RecipeError(
            f"{path}: no record of siblings ({said}); delete it, and `doit siblings` makes it anew"
        ) from error


def write_record(path: Path, siblings: Iterable[Sibling]) -> None:
    """Write them, largest first."""
    write_json(path, [sibling.model_dump() for sibling in sorted(siblings, key=_order)])


def family(record: Record, subject: Subject) -> Record:
    """What a card shows, largest first: the others that the same loader reads, and its own subject.

    Nothing if there are no others.
    """
    beside = others(record, subject.recipe, subject.loader)
    return tuple(sorted([*beside, sibling_of(subject)], key=_order)) if beside else ()


def others(record: Record, recipe: Recipe, loader: Loader | None = None) -> Record:
    """Those on record that are read as this recipe's artifact (or view) is, itself left out."""
    dialect = loader.name if loader else None
    return tuple(s for s in record if s.dialect == dialect and s.recipe != recipe.name)


def sibling_of(subject: Subject) -> Sibling:
    """The subject of a card, by its own manifest and validation."""
    return Sibling(
        recipe=subject.recipe.name,
        dialect=subject.loader.name if subject.loader else None,
        repo=subject.repo,
        bytes=subject.manifest.weight_bytes,
        bits_per_weight=subject.manifest.bits_per_weight,
        wer=subject.validation["total"]["wer"],
        worst_wer=max(rates["wer"] for rates in subject.validation["sets"].values()),
    )


@dataclass(frozen=True)
class Survey:
    """What a target holds of a source."""

    found: list[Sibling]
    """Of each variant the newest tag that is not withdrawn."""
    unknown: set[Variant]
    """Those that the target never had, which says nothing about them: it may be a new one."""


@dataclass(frozen=True)
class Revision:
    """A record as it is to be, and what became of the entries that were not found."""

    record: list[Sibling]
    kept: list[str]
    dropped: list[str]


def published(target: PublishTarget, source: Source, recipes: Iterable[Recipe]) -> Survey:
    """The recipes and their views as they are published. Raises PublishError."""
    found, unknown = [], set()
    for recipe in recipes:
        for loader in (None, *views_of(recipe.dialects)):
            repo = repo_name(source, recipe, loader)
            try:
                newest = next((v for v in target.history(repo) if v.withdrawn is None), None)
            except MissingError:
                unknown.add((recipe.name, loader.name if loader else None))
            else:
                found += [_sibling(target, source, recipe, loader, repo, newest.tag)] if newest else []
    return Survey(found, unknown)


def revised(record: Record, survey: Survey, replace: bool) -> Revision:
    """A record with what was found in place of what it said.

    Entries that the target knows nothing of are kept, unless it is to `replace` the record. Those of which
    all tags are withdrawn, or whose recipe is gone, are dropped.
    """
    seen = {_variant(sibling) for sibling in survey.found}
    lost = [sibling for sibling in record if _variant(sibling) not in seen]
    kept = [] if replace else [sibling for sibling in lost if _variant(sibling) in survey.unknown]
    dropped = [sibling for sibling in lost if sibling not in kept]
    return Revision([*survey.found, *kept], list(map(_name, kept)), list(map(_name, dropped)))


def _variant(sibling: Sibling) -> Variant:
    return sibling.recipe, sibling.dialect


def _name(sibling: Sibling) -> str:
    return "-".join(filter(None, _variant(sibling)))


def _sibling(
    target: PublishTarget, source: Source, recipe: Recipe, loader: Loader | None, repo: str, tag: str
) -> Sibling:
    where = f"{repo} at {tag}"
    try:
        raw = target.read(repo, tag, MANIFEST, STATE_BYTES)
        manifest = _Manifest.model_validate_json(raw)
        files = read_entries({"files": manifest.files}, f"{where}: {MANIFEST}")
        if (manifest.variant, manifest.model) != (recipe.name, source.model):
            raise PublishError(f"{where}: holds {manifest.model}, {manifest.variant}")
        report = target.read(repo, tag, VALIDATION, STATE_BYTES)
        if files.get(VALIDATION) != Entry(len(report), hashlib.sha256(report).hexdigest()):
            raise PublishError(f"{where}: {VALIDATION} is not that of its manifest")
        validation = _Validation.model_validate_json(report)
        return Sibling(
            recipe=recipe.name,
            dialect=loader.name if loader else None,
            repo=repo,
            tag=tag,
            digest=hashlib.sha256(raw).hexdigest(),
            bytes=sum(entry.size for name, entry in files.items() if name.endswith(".safetensors")),
            bits_per_weight=manifest.bits_per_weight,
            wer=validation.total.wer,
            worst_wer=max(rates.wer for rates in validation.sets.values()),
        )
    except (VoxrunError, pydantic.ValidationError) as error:
        raise PublishError(f"{where}: cannot be a sibling: {error}") from error


def _order(sibling: Sibling) -> tuple[int, str, str]:
    return -sibling.bytes, sibling.recipe, sibling.dialect or ""
