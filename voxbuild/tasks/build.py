"""The doit tasks of a build up to validation: which stage runs for which variant, and when it runs again.

doit stores a task's state by its name, so stages are named SOURCE:RECIPE. Tasks without state, such as
`build`, are named by the recipe alone.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doit import get_var
from doit.tools import result_dep

from voxbuild.artifact.manifest import VALIDATION
from voxbuild.artifact.tools import runtime_versions, tool_versions
from voxbuild.artifact.variant import Variant

from . import one_read, reads, up_to_date
from .actions import on_clips, on_recipes, on_source, workspace
from .describe import last_stage
from .later import Later
from .reporter import Reporter
from .selection import (
    LOUD,
    Task,
    artifact_file,
    builds,
    calibration,
    doing,
    key,
    local,
    measurement,
    way_to_fetch,
)

if TYPE_CHECKING:
    from voxbuild import stages
else:
    stages = Later("voxbuild.stages")

DOIT_CONFIG = {
    "default_tasks": ["recipes"],
    "backend": "json",
    "dep_file": ".doit.db.json",
    "continue": True,
    "verbosity": 2,
    "reporter": Reporter,
}


def task_fetch() -> Iterator[Task]:
    """Download a source (resumable), or use its folder in place; with fetch=stream its weights stay."""
    chosen = builds()
    for source in {variant.source.name: variant.source for variant in chosen}.values():
        recipes = [variant.recipe.name for variant in chosen if variant.source.name == source.name]
        yield {
            "name": source.name,
            "actions": [(on_recipes, [stages.fetch, source.name, recipes, way_to_fetch()])],
            "targets": [local(workspace().source_file(source.name))],
            "uptodate": [
                (up_to_date.same_facts, [reads.for_fetching(source)]),
                (up_to_date.source_untouched, [source.name, way_to_fetch()]),
            ],
        } | LOUD


def task__unquantize() -> Iterator[Task]:
    """Convert a source that voxrun cannot read itself, without quantization, to compare artifacts with."""
    for source in {variant.source.name: variant.source for variant in builds()}.values():
        yield {
            "name": source.name,
            "actions": [(on_source, [stages.unquantize, source.name])],
            "uptodate": [
                result_dep(f"fetch:{source.name}"),
                (up_to_date.same_facts, [reads.for_unquantizing(source) | tool_versions()]),
                (up_to_date.is_unquantized, [source.name]),
            ],
        } | LOUD


def task_calibrate() -> Iterator[Task]:
    """Measure how much the inputs of each matrix matter, for `search: activation` and `search: gptq`."""
    needed = {calibration(v): v for v in builds() if v.recipe.moments}
    for name, variant in sorted(needed.items()):
        clips = str(variant.recipe.calibrate)
        yield {
            "name": name,
            "actions": [(on_clips, [stages.calibrate, variant.source.name, clips, variant.recipe.moments])],
            "targets": _calibrated(variant),
            "uptodate": _heard_the_same(variant, clips),
        } | LOUD


def task_measure() -> Iterator[Task]:
    """Measure how much the output changes if one matrix is quantized, for recipes with a size limit."""
    needed = {measurement(v): v for v in builds() if v.recipe.budget}
    for name, variant in sorted(needed.items()):
        facts = reads.for_measuring(variant) | tool_versions()
        yield {
            "name": name,
            "actions": [doing(stages.measure_sensitivity, variant)],
            "file_dep": _calibrated(variant),
            "targets": [local(variant.sensitivity_file)],
            "uptodate": _heard_the_same(variant, str(variant.recipe.calibrate), facts),
        } | LOUD


def task__plan() -> Iterator[Task]:
    """Write the plan of an artifact, the source's hashes and the tools, which determine its weights."""
    lock = get_var("lock")
    for variant in builds():
        yield {
            "name": key(variant),
            "actions": [doing(stages.write_plan, variant, lock=lock and Path(lock))],
            "file_dep": _measured(variant),
            "targets": [local(variant.plan_file)],
            "uptodate": [
                not lock,
                result_dep(f"fetch:{variant.source.name}"),
                (up_to_date.same_facts, [reads.for_planning(variant)]),
                (up_to_date.same_tools, [local(variant.plan_file)]),
                # Moments that are not kept depend on the recordings themselves.
                (up_to_date.same_recordings, [_heard_for_moments(variant)]),
            ],
        } | LOUD


def _calibrated(variant: Variant) -> list[str]:
    """The files of a recipe's calibration."""
    files = {"diagonal": [variant.moments_file], "matrix": [variant.moments_file, variant.tokens_file]}
    return list(map(local, files.get(variant.recipe.moments or "", [])))


def _measured(variant: Variant) -> list[str]:
    """The files with what was measured for a recipe, on which its plan depends."""
    return _calibrated(variant) + ([local(variant.sensitivity_file)] if variant.recipe.budget else [])


def _heard_for_moments(variant: Variant) -> list[str]:
    """The clip set of second moments, if the recipe needs them."""
    return [str(variant.recipe.calibrate)] if variant.recipe.moments == "matrix" else []


def task_convert() -> Iterator[Task]:
    """Read, rename, transpose, quantize and write in one pass; move it into out/ when complete."""
    for variant in builds():
        yield {
            "name": key(variant),
            "actions": [(one_read.convert, [variant.source.name, variant.recipe.name])],
            "file_dep": [local(variant.plan_file)],
            "uptodate": [(up_to_date.weights_untouched, [local(variant.folder)])],
        } | LOUD


def task_reference() -> Iterator[Task]:
    """Transcribe a clip set with a source's unquantized weights, for comparison."""
    needed = {(v.source.name, clips): v for v in builds() for clips in v.clip_sets}
    for (source, clips), variant in sorted(needed.items()):
        yield {
            "name": f"{source}:{clips}",
            "actions": [(on_clips, [stages.transcribe_reference, source, clips, get_var("scheduler")])],
            "targets": [local(workspace().reference_file(source, clips))],
            "uptodate": _heard_the_same(variant, clips),
        } | LOUD


def _heard_the_same(variant: Variant, clips: str, more: reads.Facts | None = None) -> list[Any]:
    """The checks of a task that lets the unquantized source hear a clip set, and reads `more`."""
    facts = reads.for_listening(variant.source, variant.book.clips[clips], runtime_versions()) | (more or {})
    return [
        result_dep(f"fetch:{variant.source.name}"),
        result_dep(f"_unquantize:{variant.source.name}"),
        (up_to_date.same_facts, [facts]),
        (up_to_date.same_recordings, [[clips]]),
    ]


def task_validate() -> Iterator[Task]:
    """Transcribe the clips with the built artifact and compare with the recipe's gates."""
    for variant in builds():
        sets = variant.clip_sets
        references = [workspace().reference_file(variant.source.name, name) for name in sets]
        yield {
            "name": key(variant),
            "actions": [doing(stages.validate, variant, scheduler=get_var("scheduler"))],
            "file_dep": list(map(local, references)),
            "targets": [artifact_file(variant, VALIDATION)],
            "uptodate": [
                result_dep(f"convert:{key(variant)}"),
                result_dep(f"_unquantize:{variant.source.name}"),
                (up_to_date.same_facts, [reads.for_validating(variant, runtime_versions())]),
                (up_to_date.same_recordings, [list(sets)]),
                (up_to_date.unedited, [artifact_file(variant, VALIDATION)]),
            ],
        } | LOUD


def task_build() -> Iterator[Task]:
    """Build, validate and describe an artifact: doit build recipe=4bit source=tiny."""
    for variant in builds():
        yield {"name": variant.recipe.name, "actions": None, "task_dep": [last_stage(variant)]}
