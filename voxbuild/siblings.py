"""The published variants of a source, as a target has them: what `doit siblings` puts on record."""

import hashlib
from collections.abc import Iterable
from typing import Annotated

import pydantic

from voxrun.errors import VoxrunError
from voxrun.manifest import Entry, read_entries

from .errors import MissingError, PublishError
from .loaders import Loader, views_of
from .manifest import MANIFEST, VALIDATION
from .naming import repo_name
from .publish import PublishTarget, Version
from .recipe import Recipe, Source
from .record import Positive, Rate, Sibling
from .workspace import STATE_BYTES


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


def published(target: PublishTarget, source: Source, recipes: Iterable[Recipe]) -> list[Sibling]:
    """The recipes and their views as they are published: of each the newest tag that is not withdrawn.

    What was never published, or is withdrawn, is left out. Raises PublishError.
    """
    found = []
    for recipe in recipes:
        for loader in (None, *views_of(recipe.dialects)):
            repo = repo_name(source, recipe, loader)
            if version := _newest(target, repo):
                found.append(_sibling(target, source, recipe, loader, repo, version.tag))
    return found


def _newest(target: PublishTarget, repo: str) -> Version | None:
    try:
        return next((v for v in target.history(repo) if v.withdrawn is None), None)
    except MissingError:
        return None


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
