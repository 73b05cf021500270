"""The doit tasks of the line: which action runs for which recipe and source, and when it runs again.

What is stored about a task goes by its name, so the stages are named SOURCE:RECIPE; those that people call
are named by the recipe alone.
"""

from collections.abc import Iterator
from pathlib import Path

from doit import get_var
from doit.tools import config_changed, result_dep

from voxbuild.artifact.manifest import VALIDATION
from voxbuild.artifact.tools import runtime_versions
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.fetch import local_folder

from . import up_to_date
from .actions import run, workspace
from .describe import last_stage
from .reporter import Reporter
from .selection import (
    LOUD,
    Task,
    artifact_file,
    book,
    builds,
    clip_paths,
    doing,
    local,
    recipe_file,
    source_file,
    stage,
)

__all__ = [
    "DOIT_CONFIG",
    "task__plan",
    "task_build",
    "task_calibrate",
    "task_convert",
    "task_fetch",
    "task_reference",
    "task_validate",
]

DOIT_CONFIG = {
    "default_tasks": ["recipes"],
    "backend": "json",
    "dep_file": ".doit.db.json",
    "continue": True,
    "verbosity": 2,
    "reporter": Reporter,
}


def task_fetch() -> Iterator[Task]:
    """Download a source (resumable), or use its folder in place; check its files."""
    for source in {source.name: source for _, source in builds()}.values():
        yield {
            "name": source.name,
            "actions": [(run, ["fetch", {"source": source.name}])],
            "file_dep": [source_file(source)],
            "targets": [local(workspace().source_file(source.name))],
            "uptodate": [(up_to_date.source_untouched, [source.name, _local_folder(source)])],
        } | LOUD


def task_calibrate() -> Iterator[Task]:
    """Learn how much each input of each matrix matters, for the recipes that search with activations."""
    needed = {(s.name, r.calibrate): _moments_file(r, s) for r, s in builds() if r.calibrate}
    for (source, clips), moments in sorted(needed.items()):
        yield {
            "name": f"{source}:{clips}",
            "actions": [(run, ["calibrate", {"source": source, "clips": clips}])],
            "file_dep": [local(workspace().source_file(source)), *clip_paths(clips)],
            "targets": [local(moments)],
            "uptodate": [config_changed(runtime_versions())],
        } | LOUD


def task__plan() -> Iterator[Task]:
    """Write down all that decides about an artifact's bytes: its plan, the source's hashes, the tools."""
    lock = get_var("lock")
    for recipe, source in builds():
        yield {
            "name": stage(recipe, source),
            "actions": [doing("write_plan", recipe, source, lock=lock)],
            "file_dep": [
                recipe_file(recipe),
                local(workspace().source_file(source.name)),
                *([local(_moments_file(recipe, source))] if recipe.calibrate else []),
            ],
            "targets": [local(workspace().plan_file(source.name, recipe.name))],
            "uptodate": [not lock, (up_to_date.same_tools, [source.name, recipe.name])],
        } | LOUD


def task_convert() -> Iterator[Task]:
    """Read, rename, transpose, quantize and write: one pass, moved into out/ whole."""
    for recipe, source in builds():
        yield {
            "name": stage(recipe, source),
            "actions": [doing("convert", recipe, source)],
            "file_dep": [local(workspace().plan_file(source.name, recipe.name))],
            "uptodate": [(up_to_date.weights_untouched, [source.name, recipe.name])],
        } | LOUD


def task_reference() -> Iterator[Task]:
    """Transcribe a clip set with a source's unquantized weights, to compare with."""
    for source, clips in sorted({(s.name, c) for r, s in builds() for c in book().clip_sets(s, r)}):
        yield {
            "name": f"{source}:{clips}",
            "actions": [(run, ["reference", {"source": source, "clips": clips}])],
            "file_dep": [local(workspace().source_file(source)), *clip_paths(clips)],
            "targets": [local(workspace().reference_file(source, clips))],
            "uptodate": [config_changed(runtime_versions())],
        } | LOUD


def task_validate() -> Iterator[Task]:
    """Transcribe the clips with the built artifact and hold it against the recipe's gates."""
    for recipe, source in builds():
        sets = book().clip_sets(source, recipe)
        references = [workspace().reference_file(source.name, name) for name in sets]
        yield {
            "name": stage(recipe, source),
            "actions": [doing("validate", recipe, source)],
            "file_dep": [
                recipe_file(recipe),
                source_file(source),
                *(file for name in sets for file in clip_paths(name)),
                *map(local, references),
            ],
            "targets": [artifact_file(recipe, source, VALIDATION)],
            "uptodate": [
                result_dep(f"convert:{stage(recipe, source)}"),
                config_changed(runtime_versions()),
                (up_to_date.unedited, [artifact_file(recipe, source, VALIDATION)]),
            ],
        } | LOUD


def task_build() -> Iterator[Task]:
    """Build, validate and describe an artifact: doit build recipe=4bit source=tiny."""
    for recipe, source in builds():
        yield {"name": recipe.name, "actions": None, "task_dep": [last_stage(recipe, source)]}


def _local_folder(source: Source) -> str | None:
    folder = local_folder(source, workspace().recipes / "sources")
    return str(folder) if folder else None


def _moments_file(recipe: Recipe, source: Source) -> Path:
    return workspace().moments_file(source.name, str(recipe.calibrate))
