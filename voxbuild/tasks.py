"""The doit tasks: which action runs for which recipe and source, and when it runs again.

`recipe=` keeps one recipe, `source=` puts recipes over another source. What is stored about a task goes by
its name, so the stages are named SOURCE:RECIPE; those that people call are named by the recipe alone.
Actions take names, not objects: they are pickled when doit runs in several processes.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doit import get_var
from doit.exceptions import InvalidTask, UnmetDependency
from doit.reporter import ConsoleReporter
from doit.tools import config_changed, result_dep

from . import uptodate
from .actions import PARITY_REPORT, TARGETS, run, workspace
from .clips import clip_files
from .errors import VoxbuildError
from .fetch import local_folder
from .manifest import CARD, VALIDATION
from .recipe import Book, Recipe, Source, read_book
from .stages import runtime_versions

__all__ = [
    "DOIT_CONFIG",
    "task__plan",
    "task_build",
    "task_card",
    "task_convert",
    "task_fetch",
    "task_manifest",
    "task_matrix",
    "task_parity",
    "task_plan",
    "task_publish",
    "task_recipes",
    "task_reference",
    "task_table",
    "task_validate",
]

Task = dict[str, Any]

VARIABLES = ("recipe", "source", "target", "tag")
"""What may be said as NAME=VALUE on the command line."""
LOUD: Task = {"verbosity": 2, "io": {"capture": False}}
"""Nothing is captured: progress bars need the terminal."""
ALWAYS: Task = {"uptodate": [False]} | LOUD
SHOWS: Task = {"meta": {"title": False}} | ALWAYS
"""What it prints is all there is on stdout, for people and for pipes."""
MEASURED = (
    *("runtime/voxrun/*.py", "tiny/checkpoint/*", "tests/oracle/*.py"),
    *(f"tests/runtime/{name}.py" for name in ("cases", "comparison", "small_models")),
)
"""What the parity report depends on."""


class Reporter(ConsoleReporter):  # type: ignore[misc]
    """doit's own, but a failure is one line and its message; what it keeps from running is not told."""

    def execute_task(self, task: Any) -> None:
        """Say what starts, but for tasks that only show something."""
        if (task.meta or {}).get("title", True):
            super().execute_task(task)

    def add_failure(self, task: Any, fail: Any) -> None:
        """Report a failure that is the task's own."""
        if not isinstance(fail, UnmetDependency):
            super().add_failure(task, fail)

    def _write_failure(self, result: dict[str, Any], write_exception: bool = True) -> None:
        message = result["exception"].get_msg().strip()
        self.write(f"!! {result['task'].name.lstrip('_')}: {message}\n")


DOIT_CONFIG = {
    "default_tasks": ["recipes"],
    "backend": "json",
    "dep_file": ".doit.db.json",
    "continue": True,
    "verbosity": 2,
    "reporter": Reporter,
}


def task_recipes() -> Task:
    """Show all recipes and sources (what `doit` alone does)."""
    return {"actions": [(run, ["show_recipes", {}])]} | SHOWS


def task_fetch() -> Iterator[Task]:
    """Download a source (resumable), or use its folder in place; check every file."""
    for source in {source.name: source for _, source in _builds()}.values():
        yield {
            "name": source.name,
            "actions": [(run, ["fetch", {"source": source.name}])],
            "file_dep": [_source_file(source)],
            "targets": [_file(workspace().source_file(source.name))],
            "uptodate": [(uptodate.source_untouched, [source.name, _local_folder(source)])],
        } | LOUD


def task_plan() -> Iterator[Task]:
    """Show what a recipe makes of a source: every tensor, sizes, bits per weight."""
    for recipe, source in _builds():
        yield {
            "name": recipe.name,
            "actions": [_action("show_plan", recipe, source)],
            "task_dep": [f"fetch:{source.name}"],
        } | SHOWS


def task__plan() -> Iterator[Task]:
    """Write down all that decides about an artifact's bytes: its plan, the source's hashes, the tools."""
    for recipe, source in _builds():
        yield {
            "name": _stage(recipe, source),
            "actions": [_action("write_plan", recipe, source)],
            "file_dep": [_recipe_file(recipe), _file(workspace().source_file(source.name))],
            "targets": [_file(workspace().plan_file(source.name, recipe.name))],
            "uptodate": [(uptodate.same_tools, [source.name, recipe.name])],
        } | LOUD


def task_convert() -> Iterator[Task]:
    """Read, rename, transpose, quantize and write: one pass, moved into out/ whole."""
    for recipe, source in _builds():
        yield {
            "name": _stage(recipe, source),
            "actions": [_action("convert", recipe, source)],
            "file_dep": [_file(workspace().plan_file(source.name, recipe.name))],
            "uptodate": [(uptodate.weights_untouched, [source.name, recipe.name])],
        } | LOUD


def task_reference() -> Iterator[Task]:
    """Transcribe a clip set with a source's unquantized weights, to compare with."""
    book = _book()
    for source, clips in sorted({(s.name, c) for r, s in _builds() for c in book.clip_sets(s, r)}):
        yield {
            "name": f"{source}:{clips}",
            "actions": [(run, ["reference", {"source": source, "clips": clips}])],
            "file_dep": [_file(workspace().source_file(source)), *_clip_files(clips)],
            "targets": [_file(workspace().reference_file(source, clips))],
            "uptodate": [config_changed(runtime_versions())],
        } | LOUD


def task_validate() -> Iterator[Task]:
    """Transcribe the clips with the built artifact and hold it against the recipe's gates."""
    for recipe, source in _builds():
        sets = _book().clip_sets(source, recipe)
        references = [workspace().reference_file(source.name, name) for name in sets]
        yield {
            "name": _stage(recipe, source),
            "actions": [_action("validate", recipe, source)],
            "file_dep": [
                _recipe_file(recipe),
                _source_file(source),
                *(file for name in sets for file in _clip_files(name)),
                *map(_file, references),
            ],
            "targets": [_artifact_file(recipe, source, VALIDATION)],
            "uptodate": [
                result_dep(f"convert:{_stage(recipe, source)}"),
                config_changed(runtime_versions()),
                (uptodate.unedited, [_artifact_file(recipe, source, VALIDATION)]),
            ],
        } | LOUD


def task_card() -> Iterator[Task]:
    """Write the model card from what was measured."""
    for recipe, source in _builds():
        yield {
            "name": _stage(recipe, source),
            "actions": [_action("card", recipe, source)],
            "file_dep": [
                _artifact_file(recipe, source, VALIDATION),
                _recipe_file(recipe),
                _source_file(source),
                *(_clip_set_file(name) for name in _book().clip_sets(source, recipe)),
                _file(workspace().cards / recipe.card),
            ],
            "targets": [_artifact_file(recipe, source, CARD)],
            "uptodate": [(uptodate.unedited, [_artifact_file(recipe, source, CARD)])],
        } | LOUD


def task_manifest() -> Iterator[Task]:
    """Complete the manifest: every file's hash, marked validated."""
    for recipe, source in _builds():
        yield {
            "name": _stage(recipe, source),
            "actions": [_action("manifest", recipe, source)],
            "file_dep": [_artifact_file(recipe, source, name) for name in (VALIDATION, CARD)],
            "uptodate": [
                (uptodate.is_validated, [source.name, recipe.name]),
                config_changed(_book().digest(source, recipe)),
            ],
        } | LOUD


def task_build() -> Iterator[Task]:
    """Build, validate and describe an artifact: doit build recipe=4bit source=tiny."""
    for recipe, source in _builds():
        stage = f"manifest:{_stage(recipe, source)}"
        yield {"name": recipe.name, "actions": None, "task_dep": [stage]}


def task_publish() -> Iterator[Task]:
    """Publish what is validated: to out/registry, or with target=hub to the Hub."""
    options = {name: get_var(name) for name in ("source", "target", "tag")}
    options["named"] = get_var("recipe") is not None
    for recipe in _chosen():
        yield {
            "name": recipe.name,
            "actions": [(run, ["publish", options | {"recipe": recipe.name}])],
        } | ALWAYS


def task_table() -> Task:
    """Show size, WER and fidelity of every variant that is built."""
    options = {name: get_var(name) for name in ("source", "recipe")}
    return {"actions": [(run, ["show_table", options])]} | SHOWS


def task_matrix() -> Task:
    """Print the recipes as JSON, for a CI matrix."""
    return {"actions": [(run, ["show_matrix", {}])]} | SHOWS


def task_parity() -> Task:
    """Compare voxrun with transformers, stage by stage, into docs/parity.md (needs the oracle extra)."""
    return {
        "actions": [(run, ["parity", {}])],
        "file_dep": [_file(path) for pattern in MEASURED for path in sorted(workspace().root.glob(pattern))],
        "targets": [str(PARITY_REPORT)],
        "uptodate": [config_changed(runtime_versions())],
    } | LOUD


def _stage(recipe: Recipe, source: Source) -> str:
    return f"{source.name}:{recipe.name}"


def _action(name: str, recipe: Recipe, source: Source) -> Any:
    return (run, [name, {"source": source.name, "recipe": recipe.name}])


def _builds() -> list[tuple[Recipe, Source]]:
    """The recipes that were chosen, each with the source it is built over."""
    source = get_var("source")
    with _load_time():
        return [(recipe, _book().source(source or recipe.source)) for recipe in _chosen()]


def _chosen() -> list[Recipe]:
    book, recipe = _book(), get_var("recipe")
    with _load_time():
        return [book.recipe(recipe)] if recipe else list(book.recipes.values())


def _book() -> Book:
    with _load_time():
        _check_variables()
        return read_book(workspace().recipes)


def _check_variables() -> None:
    """A mistyped name would silently build everything."""
    for argument in sys.argv[1:]:
        said = re.match(r"(\w+)=", argument)
        if said and said[1] not in VARIABLES:
            raise InvalidTask(f"unknown variable {said[1]}; known: {', '.join(VARIABLES)}")
    if get_var("target", "registry") not in TARGETS:
        raise InvalidTask(f"unknown target {get_var('target')}; known: {', '.join(TARGETS)}")


@contextmanager
def _load_time() -> Iterator[None]:
    """A mistake in a file becomes doit's own error of loading: one message, no traceback."""
    try:
        yield
    except VoxbuildError as error:
        raise InvalidTask(str(error)) from error


def _recipe_file(recipe: Recipe) -> str:
    return _file(workspace().recipes / f"{recipe.name}.yaml")


def _source_file(source: Source) -> str:
    return _file(workspace().recipes / "sources" / f"{source.name}.yaml")


def _local_folder(source: Source) -> str | None:
    folder = local_folder(source, workspace().recipes / "sources")
    return str(folder) if folder else None


def _clip_set_file(name: str) -> str:
    return _file(workspace().clips / f"{name}.yaml")


def _clip_files(name: str) -> list[str]:
    """What a clip set is made of: its definition, transcripts and recordings."""
    members = clip_files(_book().clips[name], workspace().clips)
    return [_clip_set_file(name), *map(_file, members)]


def _artifact_file(recipe: Recipe, source: Source, name: str) -> str:
    return _file(workspace().artifact(source.name, recipe.name) / name)


def _file(path: Path) -> str:
    return str(path.relative_to(workspace().root))
