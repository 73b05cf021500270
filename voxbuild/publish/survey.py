"""`doit siblings`: record which variants of a source are published on a target."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import pydantic

from voxbuild.artifact.manifest import MANIFEST, VALIDATION
from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import Positive, Rate, Record, Sibling, heard_of, read_record, write_record
from voxbuild.errors import MissingError, PublishError
from voxbuild.files import STATE_BYTES
from voxbuild.recipes.book import Book
from voxbuild.recipes.source import Source
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError
from voxrun.trust.manifest import Entry, read_entries

from .order import Order
from .target import PublishTarget

Key = tuple[str, str | None]
"""The recipe's name; the loader's name, if it is a view."""


class _Json(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)


class _Estimate(_Json):
    value: Rate
    low: Rate
    high: Rate


class _Rates(_Json):
    wer: _Estimate | Rate
    """A number in releases of before intervals were kept."""


class _Fidelity(_Json):
    kl_mean: _Estimate | Rate


class _Validation(_Json):
    """The fields that are read of a published validation.json."""

    total: _Rates
    sets: Annotated[dict[str, _Rates], pydantic.Field(min_length=1)]
    fidelity: _Fidelity


class _Manifest(_Json):
    """The fields that are read of a published manifest.json."""

    variant: str
    model: str
    bits_per_weight: Positive
    files: dict[str, object]


def record_published(work: Workspace, book: Book, order: Order, replace: bool) -> None:
    """Record which variants of a source, or of all in recipes/sources/, a target has; print what changed."""
    target = order.open_target(work)
    sources = [book.source(order.source)] if order.source else book.own_sources
    for source in sources:
        for line in _update(work, book, source, target, replace):
            print(f"{source.name}: {line}")


def _update(work: Workspace, book: Book, source: Source, target: PublishTarget, replace: bool) -> list[str]:
    """Update the record of one source; return what changed, a line each.

    Public cards show the record, so private variants are only recorded if there are no others.
    """
    artifacts = [Variant(work, book, source, recipe) for recipe in book.recipes.values()]
    artifacts = [variant for variant in artifacts if not variant.private] or artifacts
    path, held = work.siblings_file(source.name), survey(target, artifacts)
    if not held.found:
        return ["nothing is published; its record is unchanged"]
    made = revised(read_record(path), held, replace)
    write_record(path, made.record)
    lines = [f"{len(made.record)} on record in {path.relative_to(work.root)}"]
    if made.kept:
        lines.append(f"not published there, kept unchanged: {', '.join(made.kept)}")
    if made.dropped:
        lines.append(f"dropped: {', '.join(made.dropped)}")
    return lines


@dataclass(frozen=True)
class Survey:
    """The variants of a source that a target has."""

    found: list[Sibling]
    """The newest tag of each variant that is not withdrawn."""
    unknown: set[Key]
    """Variants that the target never had; they may be published elsewhere."""


@dataclass(frozen=True)
class Revision:
    """An updated record, and the names of the entries that were not found but kept, or dropped."""

    record: list[Sibling]
    kept: list[str]
    dropped: list[str]


def survey(target: PublishTarget, artifacts: Iterable[Variant]) -> Survey:
    """The published artifacts and views. Raises PublishError."""
    found, unknown = [], set()
    for variant in (v for artifact in artifacts for v in (artifact, *artifact.views)):
        try:
            newest = next((v for v in target.history(variant.repo) if v.withdrawn is None), None)
        except MissingError:
            unknown.add((variant.recipe.name, variant.dialect))
        else:
            found += [_sibling(target, variant, newest.tag)] if newest else []
    return Survey(found, unknown)


def revised(record: Record, held: Survey, replace: bool) -> Revision:
    """A record updated with what was found.

    Entries that the target never had are kept, unless `replace`. Entries with all tags withdrawn, or without
    a recipe, are dropped.
    """
    seen = {_key(sibling) for sibling in held.found}
    lost = [sibling for sibling in record if _key(sibling) not in seen]
    kept = [] if replace else [sibling for sibling in lost if _key(sibling) in held.unknown]
    dropped = [sibling for sibling in lost if sibling not in kept]
    return Revision([*held.found, *kept], list(map(_name, kept)), list(map(_name, dropped)))


def _key(sibling: Sibling) -> Key:
    return sibling.recipe, sibling.dialect


def _name(sibling: Sibling) -> str:
    return "-".join(filter(None, _key(sibling)))


def _sibling(target: PublishTarget, variant: Variant, tag: str) -> Sibling:
    repo = variant.repo
    where = f"{repo} at {tag}"
    try:
        raw = target.read(repo, tag, MANIFEST, STATE_BYTES)
        manifest = _Manifest.model_validate_json(raw)
        files = read_entries({"files": manifest.files}, f"{where}: {MANIFEST}")
        if (manifest.variant, manifest.model) != (variant.recipe.name, variant.source.model):
            raise PublishError(f"{where}: holds {manifest.model}, {manifest.variant}")
        report = target.read(repo, tag, VALIDATION, STATE_BYTES)
        if files.get(VALIDATION) != Entry(len(report), hashlib.sha256(report).hexdigest()):
            raise PublishError(f"{where}: {VALIDATION} differs from its manifest's entry")
        validation = _Validation.model_validate_json(report)
        return Sibling(
            recipe=variant.recipe.name,
            dialect=variant.dialect,
            repo=repo,
            tag=tag,
            digest=hashlib.sha256(raw).hexdigest(),
            bytes=sum(entry.size for name, entry in files.items() if name.endswith(".safetensors")),
            bits_per_weight=manifest.bits_per_weight,
            **heard_of(validation.model_dump()),
        )
    except (VoxrunError, pydantic.ValidationError) as error:
        raise PublishError(f"{where}: cannot be recorded: {error}") from error
