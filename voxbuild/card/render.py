"""Rendering model cards: Jinja templates filled with the measurements."""

from pathlib import Path
from typing import Any

import jinja2
import yaml

from voxbuild.artifact.evaluated import evaluated
from voxbuild.artifact.manifest import CARD, EVAL_RESULTS, EVALUATION, OPTIONAL, PLOT, Manifest
from voxbuild.artifact.signature import fingerprint_of
from voxbuild.artifact.variant import Variant
from voxbuild.errors import VoxbuildError
from voxbuild.files import to_json, written_whole
from voxbuild.recipes.hub_terms import check_repo
from voxbuild.recipes.loaders import LOADERS, Loader
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.schema import load

from . import origin, tables
from .evaluation import evaluation_table
from .hub_metadata import eval_results, front_matter
from .plot import draw
from .siblings import Record, family, read_record
from .subject import Subject


def check_card_names(variant: Variant) -> None:
    """Raises VoxbuildError if the recipe's template is missing, or a repository cannot have its name."""
    templates, recipe = variant.work.cards, variant.recipe
    for each in (variant, *variant.views):
        check_repo(each.repo)
    if not (templates / recipe.card).is_file():
        known = ", ".join(sorted(path.name for path in templates.glob("*.j2")))
        raise VoxbuildError(f"{recipe.name}.yaml: there is no card template {recipe.card}; known: {known}")


def write_card_files(variant: Variant, folder: Path, manifest: Manifest, validation: dict[str, Any]) -> None:
    """Write the card of an artifact or a view, and its other files, into the folder; remove old ones.

    Raises VoxbuildError, VoxrunError.
    """
    public_key = variant.public_key
    fingerprint = fingerprint_of(public_key) if public_key else None
    subject = Subject(variant, manifest, validation, fingerprint, evaluated(variant, manifest))
    files = card_files(variant.work.cards, subject, read_record(variant.record_file))
    for name in (CARD, *OPTIONAL):
        path = folder / name
        if name in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as partial:
                partial.write_bytes(files[name])
        else:
            path.unlink(missing_ok=True)


def card_files(templates: Path, subject: Subject, record: Record) -> dict[str, bytes]:
    """Name -> content of the files of a card, see `card_names`. Raises VoxbuildError."""
    siblings = family(record, subject)
    results = eval_results(subject)
    return {
        CARD: render_card(templates, subject, siblings).encode(),
        **({EVALUATION: to_json(subject.evaluation).encode()} if subject.evaluation else {}),
        **({EVAL_RESULTS: results.encode()} if results else {}),
        **({PLOT: draw(siblings, subject.variant.recipe.name)} if siblings else {}),
    }


def render_card(templates: Path, subject: Subject, siblings: Record = ()) -> str:
    """The README.md. Raises VoxbuildError if the template is missing or wrong."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templates),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    variant = subject.variant
    recipe, loader, repo, source = variant.recipe, variant.loader, variant.repo, variant.source
    try:
        return environment.get_template(recipe.card).render(
            metadata=front_matter(subject),
            source=source,
            converted_from=origin.converted_from(source),
            merged=origin.merged(source, subject.manifest),
            licence=origin.licence(source),
            recipe=recipe,
            manifest=subject.manifest,
            recipe_text=recipe_text(variant),
            repo=repo,
            loader=loader,
            usages=[(r.name, r.usage.format(repo=repo), r.note) for r in _readers(subject)],
            original=variant.artifact.repo,
            clips=list(subject.clips.values()),
            fingerprint=subject.fingerprint,
            weights_table=tables.weights_table(subject),
            wer_table=tables.wer_table(subject.validation),
            fidelity_table=tables.fidelity_table(subject),
            evaluation_table=evaluation_table(subject.evaluation) if subject.evaluation else None,
            siblings_table=tables.siblings_table(siblings, recipe.name) if siblings else None,
            plot=PLOT,
        )
    except (jinja2.TemplateError, TypeError) as error:
        raise VoxbuildError(f"{templates / recipe.card}: {error or type(error).__name__}") from error


def recipe_text(variant: Variant) -> str:
    """The recipe's YAML: its file, or if the command line has changed it, the changed one."""
    path = variant.work.recipes / f"{variant.recipe.name}.yaml"
    if load(path, Recipe) == variant.recipe:
        return path.read_text(encoding="utf-8").strip()
    changed = variant.recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=110).strip()


def _readers(subject: Subject) -> list[Loader]:
    """A view's loader, or the loaders that read the artifact itself."""
    variant = subject.variant
    if variant.loader:
        return [variant.loader]
    return [LOADERS[name] for name in variant.recipe.dialects if LOADERS[name].reads_the_artifact]
