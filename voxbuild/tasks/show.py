"""The doit tasks that only show or compare: what there is, what would be built, what came out."""

from collections.abc import Iterator
from typing import Any

from doit import get_var
from doit.cmdparse import CmdOption, CmdParseError, TaskParse
from doit.exceptions import TaskFailed
from doit.tools import config_changed

from voxbuild.artifact.tools import runtime_versions

from .actions import PARITY_REPORT, run, workspace
from .selection import ALWAYS, FORMAT, LOUD, SHOWS, Task, builds, doing, local

__all__ = [
    "task_compatibility",
    "task_diff",
    "task_matrix",
    "task_parity",
    "task_plan",
    "task_recipes",
    "task_reproduce",
    "task_table",
]

MEASURED = (
    *("runtime/voxrun/**/*.py", "tiny/checkpoint/*", "tests/oracle/*.py"),
    *(f"tests/runtime/{name}.py" for name in ("cases", "comparison", "small_models")),
)
"""What the parity report depends on."""
TENSORS: Task = {
    "name": "tensors",
    "long": "tensors",
    "type": bool,
    "default": False,
    "help": "show every tensor",
}


def task_recipes() -> Task:
    """Show all recipes and sources (what `doit` alone does)."""
    return {"actions": [(run, ["show_recipes", {}])]} | SHOWS


def task_plan() -> Task:
    """Show what recipes would make, and need, from the sources' headers alone (--tensors, --format json)."""
    chosen = [(recipe.name, source.name) for recipe, source in builds()]
    return {"actions": [(run, ["show_plan", {"chosen": chosen}])], "params": [FORMAT, TENSORS]} | SHOWS


def task_table() -> Task:
    """Show size, WER and fidelity of every variant that is built."""
    options = {name: get_var(name) for name in ("source", "recipe")}
    return {"actions": [(run, ["show_table", options])]} | SHOWS


def task_diff() -> Task:
    """Compare two artifacts, each a folder or a recipe of source=: doit diff A B [--format json]."""
    return {
        "actions": [(diff, [get_var("source")])],
        "params": [FORMAT],
        "pos_arg": "artifacts",
    } | SHOWS


def diff(source: str | None, format: str, artifacts: list[str]) -> Any:
    """The task's action: doit takes options before what it is to compare, people write them behind it too."""
    try:
        behind, more = TaskParse([CmdOption(FORMAT | {"default": format})]).parse(artifacts[2:])
    except CmdParseError:
        more = artifacts
    if len(artifacts) < 2 or more:
        return TaskFailed("two artifacts are compared: doit diff A B [--format json]")
    return run("show_diff", {"source": source, "artifacts": artifacts[:2], "format": behind["format"]})


def task_reproduce() -> Iterator[Task]:
    """Build an artifact's weights again in a clean place, and compare every file's hash."""
    for recipe, source in builds():
        yield {
            "name": recipe.name,
            "actions": [doing("reproduce", recipe, source)],
            "task_dep": [
                f"fetch:{source.name}",
                *([f"calibrate:{source.name}:{recipe.calibrate}"] if recipe.calibrate else []),
            ],
        } | SHOWS


def task_matrix() -> Task:
    """Print the recipes as JSON, for a CI matrix."""
    return {"actions": [(run, ["show_matrix", {}])]} | SHOWS


def task_compatibility() -> Task:
    """Load every variant over tiny with every loader, into docs/compatibility.md (build them first)."""
    return {"actions": [(run, ["compatibility", {}])]} | ALWAYS


def task_parity() -> Task:
    """Compare voxrun with transformers, stage by stage, into docs/parity.md (needs the oracle extra)."""
    return {
        "actions": [(run, ["parity", {}])],
        "file_dep": [local(path) for pattern in MEASURED for path in sorted(workspace().root.glob(pattern))],
        "targets": [str(PARITY_REPORT)],
        "uptodate": [config_changed(runtime_versions())],
    } | LOUD
