"""The doit tasks after validation: what is written about an artifact, its views, its signature."""

import os
from collections.abc import Iterator
from importlib.metadata import version

from doit import get_var
from doit.tools import config_changed

from voxbuild.artifact.manifest import BOM, DESCRIPTIVE, MANIFEST, OPTIONAL, PROVENANCE, VALIDATION
from voxbuild.artifact.variant import public_key_of, view_name
from voxbuild.card.render import card_names
from voxbuild.card.siblings import others
from voxbuild.recipes.loaders import views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source

from . import up_to_date
from .actions import workspace
from .selection import (
    LOUD,
    Task,
    artifact_file,
    book,
    builds,
    clip_paths,
    clip_set_file,
    doing,
    local,
    recipe_file,
    record,
    source_file,
    stage,
)

__all__ = [
    "task__signature",
    "task_bom",
    "task_card",
    "task_manifest",
    "task_provenance",
    "task_views",
]


def task_card() -> Iterator[Task]:
    """Write the model card from what was measured, with its plot and results for the Hub."""
    for recipe, source in builds():
        files = [artifact_file(recipe, source, name) for name in _card_names(recipe, source)]
        public_key = public_key_of(workspace(), recipe)
        yield {
            "name": stage(recipe, source),
            "actions": [doing("card", recipe, source)],
            "file_dep": [
                artifact_file(recipe, source, VALIDATION),
                recipe_file(recipe),
                source_file(source),
                *(clip_set_file(name) for name in book().clip_sets(source, recipe)),
                local(workspace().cards / recipe.card),
                *_record_file(source),
                *([os.path.relpath(public_key, workspace().root)] if public_key else []),
            ],
            "targets": files,
            "uptodate": [
                (up_to_date.unedited, files),
                config_changed({"matplotlib": version("matplotlib")}),  # draws the plot
            ],
        } | LOUD


def task_bom() -> Iterator[Task]:
    """Write the bill of materials (CycloneDX): files, upstream, clips, tools, error rates."""
    for recipe, source in builds():
        yield {
            "name": stage(recipe, source),
            "actions": [doing("bom", recipe, source)],
            "file_dep": [artifact_file(recipe, source, VALIDATION)],
            "targets": [artifact_file(recipe, source, BOM)],
            "uptodate": [
                config_changed(book().digest(source, recipe)),
                (up_to_date.unedited, [artifact_file(recipe, source, BOM)]),
            ],
        } | LOUD


def task_provenance() -> Iterator[Task]:
    """Write from what all other files were made (SLSA provenance)."""
    for recipe, source in builds():
        before = [
            artifact_file(recipe, source, name)
            for name in _descriptions(recipe, source)
            if name != PROVENANCE
        ]
        sets = book().clip_sets(source, recipe)
        yield {
            "name": stage(recipe, source),
            "actions": [doing("provenance", recipe, source)],
            "file_dep": [*before, *(file for name in sets for file in clip_paths(name))],
            "targets": [artifact_file(recipe, source, PROVENANCE)],
            "uptodate": [
                config_changed(book().digest(source, recipe)),
                (up_to_date.unedited, [artifact_file(recipe, source, PROVENANCE)]),
            ],
        } | LOUD


def task_manifest() -> Iterator[Task]:
    """Complete the manifest: every file's hash, marked validated."""
    for recipe, source in builds():
        yield {
            "name": stage(recipe, source),
            "actions": [doing("manifest", recipe, source)],
            "file_dep": [artifact_file(recipe, source, name) for name in _descriptions(recipe, source)],
            "uptodate": [
                (up_to_date.is_validated, [source.name, recipe.name]),
                (up_to_date.unedited, [artifact_file(recipe, source, MANIFEST)]),
                config_changed(book().digest(source, recipe)),
            ],
        } | LOUD


def task_views() -> Iterator[Task]:
    """Write the artifact as other loaders read it, and prove that nothing changed (`dialects:`)."""
    for recipe, source in builds():
        if folders := [view_name(recipe, loader) for loader in views_of(recipe.dialects)]:
            yield {
                "name": stage(recipe, source),
                "actions": [doing("views", recipe, source)],
                "task_dep": [f"manifest:{stage(recipe, source)}"],
                "file_dep": [artifact_file(recipe, source, MANIFEST), *_record_file(source)],
                "uptodate": [
                    (up_to_date.views_untouched, [source.name, folders]),
                    config_changed({"loaders": repr(views_of(recipe.dialects))}),
                ],
            } | LOUD


def task__signature() -> Iterator[Task]:
    """Sign artifact and views for the public key that the recipe names (`sign:`)."""
    for recipe, source in builds():
        if recipe.sign:
            folders = [recipe.name, *(view_name(recipe, loader) for loader in views_of(recipe.dialects))]
            signed = [local(workspace().artifact(source.name, folder)) for folder in folders]
            public_key = str(public_key_of(workspace(), recipe))
            yield {
                "name": stage(recipe, source),
                "actions": [doing("sign", recipe, source, key=get_var("key"))],
                "task_dep": [_described(recipe, source)],
                "uptodate": [(up_to_date.is_signed, [signed, public_key])],
            } | LOUD


def last_stage(recipe: Recipe, source: Source) -> str:
    """The task after which an artifact is whole, its views and signature included."""
    return f"_signature:{stage(recipe, source)}" if recipe.sign else _described(recipe, source)


def _described(recipe: Recipe, source: Source) -> str:
    """The task after which artifact and views are whole, but for a signature."""
    return f"{'views' if views_of(recipe.dialects) else 'manifest'}:{stage(recipe, source)}"


def _descriptions(recipe: Recipe, source: Source) -> list[str]:
    """The files that are written about an artifact; of the optional ones those that its card will have."""
    card = _card_names(recipe, source)
    return [name for name in DESCRIPTIVE if name in card or name not in OPTIONAL]


def _card_names(recipe: Recipe, source: Source) -> list[str]:
    clips = book().clip_sets(source, recipe).values()
    return card_names(clips, others(record(source), recipe))


def _record_file(source: Source) -> list[str]:
    """The record of what is published, if there is one."""
    return [local(workspace().siblings_file(source.name))] if record(source) else []
