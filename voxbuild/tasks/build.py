"""The doit tasks of a build up to validation: which stage runs for which variant, and when it runs again.

doit stores a task's state by its name, so stages are named SOURCE:RECIPE. Tasks without state, such as
`build`, are named by the recipe alone.
"""

from collections.abc import Iterator
from pathlib import Path

from doit import get_var
from doit.tools import config_changed, result_dep

from voxbuild import stages
from voxbuild.artifact.manifest import VALIDATION
from voxbuild.artifact.tools import runtime_versions

from . import up_to_date
from .actions import on_clips, on_source, workspace
from .describe import last_stage
from .reporter import Reporter
from .selection import (
    LOUD,
    Task,
    artifact_file,
    builds,
    clip_paths,
    doing,
    key,
    local,
    recipe_file,
    source_file,
)

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
    for source in {variant.source.name: variant.source for variant in builds()}.values():
        folder = source.origin.folder(workspace().recipes / "sources")
        yield {
            "name": source.name,
            "actions": [(on_source, [stages.fetch, source.name])],
            "file_dep": [source_file(source)],
            "targets": [local(workspace().source_file(source.name))],
            "uptodate": [(up_to_date.source_untouched, [source.name, folder and str(folder)])],
        } | LOUD


def task_calibrate() -> Iterator[Task]:
    """Measure how much each input of each matrix matters, for recipes that search with activations."""
    needed = {(v.source.name, v.recipe.calibrate): v.moments_file for v in builds() if v.recipe.calibrate}
    for (source, clips), moments in sorted(needed.items()):
        yield {
            "name": f"{source}:{clips}",
            "actions": [(on_clips, [stages.calibrate, source, clips])],
            "file_dep": [local(workspace().source_file(source)), *clip_paths(clips)],
            "targets": [local(moments)],
            "uptodate": [config_changed(runtime_versions())],
        } | LOUD


def task__plan() -> Iterator[Task]:
    """Write the plan of an artifact, the source's hashes and the tools, which determine its weights."""
    lock = get_var("lock")
    for variant in builds():
        yield {
            "name": key(variant),
            "actions": [doing(stages.write_plan, variant, lock=lock and Path(lock))],
            "file_dep": [
                recipe_file(variant),
                local(workspace().source_file(variant.source.name)),
                *([local(variant.moments_file)] if variant.recipe.calibrate else []),
            ],
            "targets": [local(variant.plan_file)],
            "uptodate": [not lock, (up_to_date.same_tools, [local(variant.plan_file)])],
        } | LOUD


def task_convert() -> Iterator[Task]:
    """Read, rename, transpose, quantize and write in one pass; move it into out/ when complete."""
    for variant in builds():
        yield {
            "name": key(variant),
            "actions": [doing(stages.convert, variant)],
            "file_dep": [local(variant.plan_file)],
            "uptodate": [(up_to_date.weights_untouched, [local(variant.folder)])],
        } | LOUD


def task_reference() -> Iterator[Task]:
    """Transcribe a clip set with a source's unquantized weights, for comparison."""
    for source, clips in sorted({(v.source.name, clips) for v in builds() for clips in v.clip_sets}):
        yield {
            "name": f"{source}:{clips}",
            "actions": [(on_clips, [stages.transcribe_reference, source, clips])],
            "file_dep": [local(workspace().source_file(source)), *clip_paths(clips)],
            "targets": [local(workspace().reference_file(source, clips))],
            "uptodate": [config_changed(runtime_versions())],
        } | LOUD


def task_validate() -> Iterator[Task]:
    """Transcribe the clips with the built artifact and compare with the recipe's gates."""
    for variant in builds():
        sets = variant.clip_sets
        references = [workspace().reference_file(variant.source.name, name) for name in sets]
        yield {
            "name": key(variant),
            "actions": [doing(stages.validate, variant)],
            "file_dep": [
                recipe_file(variant),
                source_file(variant.source),
                *(file for name in sets for file in clip_paths(name)),
                *map(local, references),
            ],
            "targets": [artifact_file(variant, VALIDATION)],
            "uptodate": [
                result_dep(f"convert:{key(variant)}"),
                config_changed(runtime_versions()),
                (up_to_date.unedited, [artifact_file(variant, VALIDATION)]),
            ],
        } | LOUD


def task_build() -> Iterator[Task]:
    """Build, validate and describe an artifact: doit build recipe=4bit source=tiny."""
    for variant in builds():
        yield {"name": variant.recipe.name, "actions": None, "task_dep": [last_stage(variant)]}
