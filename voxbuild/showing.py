"""The doit tasks that only show or compare: what there is, what would be built, what came out."""

from collections.abc import Iterator

from doit import get_var
from doit.tools import config_changed

from .actions import PARITY_REPORT, run, workspace
from .choice import ALWAYS, LOUD, SHOWS, Task, builds, doing, local
from .stages import runtime_versions

__all__ = ["task_compatibility", "task_matrix", "task_parity", "task_plan", "task_recipes", "task_table"]

MEASURED = (
    *("runtime/voxrun/*.py", "tiny/checkpoint/*", "tests/oracle/*.py"),
    *(f"tests/runtime/{name}.py" for name in ("cases", "comparison", "small_models")),
)
"""What the parity report depends on."""


def task_recipes() -> Task:
    """Show all recipes and sources (what `doit` alone does)."""
    return {"actions": [(run, ["show_recipes", {}])]} | SHOWS


def task_plan() -> Iterator[Task]:
    """Show what a recipe makes of a source: every tensor, sizes, bits per weight."""
    for recipe, source in builds():
        yield {
            "name": recipe.name,
            "actions": [doing("show_plan", recipe, source)],
            "task_dep": [f"fetch:{source.name}"],
        } | SHOWS


def task_table() -> Task:
    """Show size, WER and fidelity of every variant that is built."""
    options = {name: get_var(name) for name in ("source", "recipe")}
    return {"actions": [(run, ["show_table", options])]} | SHOWS


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
