"""The variants that the command line selects, and what their tasks have in common.

`recipe=` selects recipes, `source=` another source; with `lock=` a build must reproduce a lock. The
variables that change recipes and sources are in `variables.py`.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite, nan
from pathlib import Path
from typing import Any

from doit import get_var
from doit.exceptions import InvalidTask

from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import Record, read_record
from voxbuild.evaluate.runners import check_address
from voxbuild.plan.costs import measurement_of
from voxbuild.plan.ways import AUTO, WAYS
from voxbuild.publish.targets import TARGETS
from voxbuild.recipes.book import Book

from . import variables
from .actions import EXPECTED, Work, evaluating, message_of, on_variant, read, workspace

Task = dict[str, Any]

OF_COMMANDS = ("target", "tag", "lock", "fetch", "out", "key", "branch", "reason", "delays", "scheduler")
VARIABLES = (*variables.VARIABLES, *OF_COMMANDS)
"""The variables NAME=VALUE of the command line."""
LOUD: Task = {"verbosity": 2, "io": {"capture": False}}
"""Captures no output: progress bars need the terminal."""
ALWAYS: Task = {"uptodate": [False]} | LOUD
SHOWS: Task = {"meta": {"title": False}} | ALWAYS
"""Prints no title, so that the output can be piped."""
FORMAT: Task = {
    "name": "format",
    "long": "format",
    "default": "table",
    "choices": (("table", "for people"), ("json", "everything")),
    "help": "table or json",
}
"""An option of tasks that print a table or JSON."""


def builds() -> list[Variant]:
    """The selected artifacts."""
    known, source = book(), source_name()
    with _invalid_task():
        recipes = [known.recipe(name) for name in recipe_names() or known.recipes]
        chosen = [Variant(workspace(), known, known.source(source or each.source), each) for each in recipes]
        for variant in chosen:
            variant.check_names()
        return chosen


def recipe_names() -> list[str]:
    """The members of recipe=, each once; none without it. Raises InvalidTask."""
    names = list(dict.fromkeys((get_var("recipe") or "").split(",")))
    if "" in names and len(names) > 1:
        raise InvalidTask(f"recipe={get_var('recipe')}: a name is missing; separate names by one comma")
    return [name for name in names if name]


def delays() -> list[float]:
    """The delays of delays=, in milliseconds; none without it. Raises InvalidTask."""
    text = get_var("delays")
    try:
        found = [] if text is None else [float(word) for word in text.split(",")]
    except ValueError:
        found = [nan]
    if not all(map(isfinite, found)):
        raise InvalidTask(f"delays={text}: say milliseconds, separated by commas, such as delays=160,480")
    return found


def way_to_fetch() -> str:
    """What fetch= says: stream, disk, or auto, as without it. Raises InvalidTask."""
    how = str(get_var("fetch", AUTO))
    if how not in WAYS:
        raise InvalidTask(f"fetch={how}: say one of {', '.join(f'fetch={way}' for way in WAYS)}")
    return how


def book() -> Book:
    """The project's recipes, after a check of the command line's variables."""
    source_name()
    with _invalid_task():
        return read()


def source_name() -> str | None:
    """The name of the source that `source=` selects, after it was found if it is named by its place."""
    with _invalid_task():
        _check_variables()
        return variables.settle(workspace(), variables.given(), keep=not evaluating())


def record(variant: Variant) -> Record:
    """The published variants of a variant's source, from the record in the repository."""
    with _invalid_task():
        return read_record(variant.record_file)


def key(variant: Variant) -> str:
    """The name of a stage's subtask."""
    return f"{variant.source.name}:{variant.recipe.name}"


def calibration(variant: Variant) -> str:
    """The name of the subtask that calibrates for a variant: one for a source, clips and kind of moments."""
    name = f"{variant.source.name}:{variant.recipe.calibrate}"
    return name if variant.recipe.moments == "diagonal" else f"{name}:{variant.recipe.moments}"


def measurement(variant: Variant) -> str:
    """The name of the subtask that measures for a variant with a budget."""
    return f"{variant.source.name}:{measurement_of(variant.recipe)}"


def doing(stage: Work, variant: Variant, **options: Any) -> Any:
    """The action that calls a stage for a variant."""
    return (on_variant, [stage, variant.source.name, variant.recipe.name], options)


def local(path: Path) -> str:
    """A path as in doit's database: relative to the project, if it lies in it."""
    return str(path).removeprefix(f"{workspace().root}{os.sep}")


def artifact_file(variant: Variant, name: str) -> str:
    """The path of an artifact's file."""
    return local(variant.folder / name)


def recipe_file(variant: Variant) -> str:
    """The path of a recipe's YAML."""
    return local(workspace().recipes / f"{variant.recipe.name}.yaml")


def _check_variables() -> None:
    """Raise InvalidTask for unknown variables: a mistyped `recipe=` would build everything."""
    for argument in sys.argv[1:]:
        match = re.match(r"(\w+)=", argument)
        if match and match[1] not in VARIABLES:
            raise InvalidTask(f"unknown variable {match[1]}; known: {', '.join(VARIABLES)}")
    if get_var("lock") and len(recipe_names()) != 1:
        raise InvalidTask("lock= belongs to one recipe; name it with recipe=")
    delays()
    way_to_fetch()
    if get_var("scheduler") is not None:
        check_address(get_var("scheduler"))
    if get_var("target", "registry") not in TARGETS:
        raise InvalidTask(f"unknown target {get_var('target')}; known: {', '.join(TARGETS)}")


@contextmanager
def _invalid_task() -> Iterator[None]:
    """Turn errors that a user can act on into doit's error of loading, which is shown without a traceback."""
    try:
        yield
    except EXPECTED as error:
        raise InvalidTask(message_of(error)) from error
