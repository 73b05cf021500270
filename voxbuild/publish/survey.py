"""The published variants of a source, as a target has them: what `doit siblings` puts on record.

What the target knows nothing of stays as it is, unless the record is to be replaced.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import pydantic

from voxbuild.artifact.manifest import MANIFEST, VALIDATION
from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import Positive, Rate, Record, Sibling, read_record, write_record
from voxbuild.errors import MissingError, PublishError
from voxbuild.files import STATE_BYTES
from voxbuild.recipes.book import Book
from voxbuild.recipes.source import Source
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError
from voxrun.trust.manifest import Entry, read_entries

from .target import PublishTarget
from .targets import DEFAULT_TARGET, TARGETS

Key = tuple[str, str | None]
"""The name of a recipe, and of the loader if it is a view."""


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


def record_published(
    work: Workspace, book: Book, source: str | None, target: str | None, replace: bool
) -> str:
    """Put on record what a target holds of a source, or of each; return what changed."""
    goal = TARGETS[target or DEFAULT_TARGET](work)
    sources = [book.source(source)] if source else list(book.sources.values())
    return "\n".join(
        f"{each.name}: {line}" for each in sources for line in update_record(work, book, each, goal, replace)
    )


def update_record(
    work: Workspace, book: Book, source: Source, target: PublishTarget, replace: bool
) -> list[str]:
    """Put on record what is published of a source; return what changed, a line each."""
    artifacts = [Variant(work, book, source, recipe) for recipe in book.recipes.values()]
    path, held = work.siblings_file(source.name), survey(target, artifacts)
    if not held.found:
        return ["nothing is published, so its record stays as it is"]
    made = revised(read_record(path), held, replace)
    write_record(path, made.record)
    lines = [f"{len(made.record)} on record in {path.relative_to(work.root)}"]
    if made.kept:
        lines.append(f"not published there, kept as it was: {', '.join(made.kept)}")
    if made.dropped:
        lines.append(f"dropped: {', '.join(made.dropped)}")
    return lines


@dataclass(frozen=True)
class Survey:
    """What a target holds of a source."""

    found: list[Sibling]
    """Of each variant the newest tag that is not withdrawn."""
    unknown: set[Key]
    """Those that the target never had, which says nothing about them: it may be a new one."""


@dataclass(frozen=True)
class Revision:
    """A record as it is to be, and what became of the entries that were not found."""

    record: list[Sibling]
    kept: list[str]
    dropped: list[str]


def survey(target: PublishTarget, artifacts: Iterable[Variant]) -> Survey:
    """The artifacts and their views as they are published. Raises PublishError."""
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
    """A record with what was found in place of what it said.

    Entries that the target knows nothing of are kept, unless it is to `replace` the record. Those of which
    all tags are withdrawn, or whose recipe is gone, are dropped.
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
            raise PublishError(f"{where}: {VALIDATION} is not that of its manifest")
        validation = _Validation.model_validate_json(report)
        return Sibling(
            recipe=variant.recipe.name,
            dialect=variant.dialect,
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
