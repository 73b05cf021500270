"""The doit tasks that show or compare recipes, plans and artifacts."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doit import get_var
from doit.cmdparse import CmdOption, CmdParseError, TaskParse
from doit.exceptions import TaskFailed
from doit.tools import config_changed

from voxbuild.artifact.tools import runtime_versions
from voxbuild.artifact.variant import Variant
from voxbuild.errors import VoxbuildError
from voxbuild.files import read_state

from . import variables
from .actions import on_project, run, variant_of, workspace
from .later import Later
from .selection import (
    ALWAYS,
    FORMAT,
    LOUD,
    SHOWS,
    Task,
    builds,
    calibration,
    doing,
    local,
    measurement,
    recipe_names,
    source_name,
    way_to_fetch,
)

if TYPE_CHECKING:
    from voxbuild.convert import freeze
    from voxbuild.validate import reproduce

    from . import overview
else:
    overview = Later("voxbuild.tasks.overview")
    freeze, reproduce = Later("voxbuild.convert.freeze"), Later("voxbuild.validate.reproduce")

PARITY = Path("tests/oracle/parity.py")
PARITY_REPORT = Path("docs/parity.md")
COMPATIBILITY = Path("benchmarks/compatibility.py")
COMPATIBILITY_REPORT = Path("docs/compatibility.md")
MEASURED = (
    *("runtime/voxrun/**/*.py", "tiny/checkpoint/*", "tests/oracle/*.py"),
    *(f"tests/runtime/{name}.py" for name in ("cases", "comparison", "small_models")),
)
"""The files that the parity report depends on."""
TENSORS: Task = {
    "name": "tensors",
    "long": "tensors",
    "type": bool,
    "default": False,
    "help": "show every tensor",
}


def task_recipes() -> Task:
    """Show all recipes and sources (the default task)."""
    return {"actions": [(on_project, [overview.show_recipes])]} | SHOWS


def task_plan() -> Task:
    """Show the artifacts that recipes would make, from the sources' headers (--tensors, --format json)."""
    chosen = [(variant.source.name, variant.recipe.name) for variant in builds()]
    return {"actions": [(show_plans, [chosen, way_to_fetch()])], "params": [FORMAT, TENSORS]} | SHOWS


def show_plans(chosen: list[tuple[str, str]], fetch: str, format: str, tensors: bool) -> Any:
    """The action of `doit plan`, for pairs of source and recipe; `fetch`: how sources would be fetched."""
    from voxbuild.plan.preview import show

    def plans() -> str:
        wanted = [variant_of(*names) for names in chosen]
        given = dict(variables.given())
        pairs = [(each.recipe, each.source) for each in wanted]
        shown = show(pairs, workspace(), format, tensors, given, fetch)
        return "\n\n".join([shown, *(_news(wanted) if format == "table" else [])])

    return run(plans)


def _news(variants: list[Variant]) -> Iterator[str]:
    """A line for each artifact whose source has files with other stamps than when it was fetched."""
    for variant in variants:
        if not variant.is_built or not read_state(workspace().source_file(variant.source.name)):
            continue
        fetched, base = variant.fetched, workspace().recipes / "sources"
        if variant.source.origin.folder(base) in (None, fetched.folder) and (touched := fetched.touched()):
            files = f"{', '.join(touched)} in {fetched.folder}"
            yield f"{files}: changed or missing since {local(variant.folder)} was built"


def task_allocate() -> Iterator[Task]:
    """Write a recipe with a size limit as an ordinary one: doit allocate recipe=auto-4 [out=FILE]."""
    chosen = [variant for variant in builds() if variant.recipe.budget or recipe_names()]
    for variant in chosen:
        needed = [f"measure:{measurement(variant)}"] if variant.recipe.budget else []
        out = get_var("out")
        yield {
            "name": variant.recipe.name,
            "actions": [doing(freeze.freeze, variant, path=out and Path(out))],
            "task_dep": [f"fetch:{variant.source.name}", *needed],
        } | SHOWS


def task_table() -> Task:
    """Show size, WER and fidelity of every variant that is built."""
    action = (on_project, [overview.show_table, source_name(), recipe_names()])
    return {"actions": [action]} | SHOWS


def task_diff() -> Task:
    """Compare two artifacts, each a folder or a recipe over source=: doit diff A B [--format json]."""
    action = (diff, [source_name()])
    return {"actions": [action], "params": [FORMAT], "pos_arg": "artifacts"} | SHOWS


def diff(source: str | None, format: str, artifacts: list[str]) -> Any:
    """The action of `doit diff`; it also takes options after the artifacts, which doit does not parse."""
    try:
        options, more = TaskParse([CmdOption(FORMAT | {"default": format})]).parse(artifacts[2:])
    except CmdParseError:
        more = artifacts
    if len(artifacts) < 2 or more:
        return TaskFailed("give two artifacts: doit diff A B [--format json]")
    return on_project(overview.show_diff, source, artifacts[:2], options["format"])


def task_reproduce() -> Iterator[Task]:
    """Build an artifact's weights again in a new folder, and compare every file's hash."""
    for variant in builds():
        recipe = variant.recipe
        needed = [f"calibrate:{calibration(variant)}"] if recipe.moments else []
        needed += [f"measure:{measurement(variant)}"] if recipe.budget else []
        yield {
            "name": recipe.name,
            "actions": [doing(reproduce.reproduce, variant)],
            "task_dep": [f"fetch:{variant.source.name}", *needed],
        } | SHOWS


def task_matrix() -> Task:
    """Print the recipes as JSON, for a CI matrix."""
    return {"actions": [(on_project, [overview.show_matrix])]} | SHOWS


def task_compatibility() -> Task:
    """Load every variant over tiny with every loader, into docs/compatibility.md (build them first)."""
    return {"actions": [(run, [compare_loaders])]} | ALWAYS


def task_parity() -> Task:
    """Compare voxrun with transformers, stage by stage, into docs/parity.md (needs the oracle extra)."""
    return {
        "actions": [(run, [compare_with_transformers])],
        "file_dep": [local(path) for pattern in MEASURED for path in sorted(workspace().root.glob(pattern))],
        "targets": [str(PARITY_REPORT)],
        "uptodate": [config_changed(runtime_versions())],
    } | LOUD


def compare_with_transformers() -> None:
    """Write the parity report in a subprocess, as tests are not part of this package."""
    _require(PARITY)
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise VoxbuildError(
            f"the oracle needs {' and '.join(missing)}, not installed here: pip install -e '.[oracle]'"
        )
    if subprocess.run([sys.executable, PARITY, PARITY_REPORT]).returncode:
        raise VoxbuildError("voxrun differs from transformers, or could not be compared; see above")


def compare_loaders() -> None:
    """Load every variant with every loader, in a subprocess."""
    _require(COMPATIBILITY)
    if subprocess.run([sys.executable, COMPATIBILITY, COMPATIBILITY_REPORT]).returncode:
        raise VoxbuildError("the loaders could not be compared; see above")


def _require(script: Path) -> None:
    """Raises VoxbuildError outside voxbuild's repository: a project has no such scripts."""
    if not script.is_file():
        raise VoxbuildError(f"this belongs to voxbuild's repository, which has {script}; run it there")
