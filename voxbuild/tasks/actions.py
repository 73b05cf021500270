"""The actions of doit's tasks: they call a stage or command, and turn errors into doit's failures.

An action is (on_variant, [STAGE, SOURCE, RECIPE]), (on_project, [COMMAND, ...]) or similar. It holds names,
not objects, as doit pickles it for its worker processes.
"""

import errno
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache, wraps
from pathlib import Path
from typing import Any

from doit.exceptions import TaskFailed

from voxbuild.artifact.variant import Variant
from voxbuild.console import drop_output, sayable
from voxbuild.errors import DifferenceError, VoxbuildError
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError

from . import variables

Work = Callable[..., Any]
"""Returns a text to print, a dict that doit stores as the task's result, or None."""


def workspace() -> Workspace:
    """The project in the current folder, that of dodo.py."""
    return _in_folder(os.getcwd())  # noqa: PTH109  it is asked for thousands of times, and a Path takes long


@cache
def _in_folder(folder: str) -> Workspace:
    return Workspace(Path(folder))


def read() -> Book:
    """The project's recipes, as the command line changes them. Raises RecipeError."""
    return variables.changed(workspace(), variables.given())


def for_programs() -> bool:
    """Whether stdout is for a program: then titles of tasks and their messages go to stderr."""
    return evaluating() and bool(re.search(r" --format[ =](json|csv)\b", " ".join(sys.argv)))


def evaluating() -> bool:
    """Whether only `doit evaluate` is asked for."""
    return [word for word in sys.argv[1:] if re.fullmatch("[a-z]+", word)][:1] == ["evaluate"]


def reported(work: Work) -> Work:
    """The function as an action: an error that a user can act on becomes a message and a failed task."""

    @wraps(work)
    def action(*arguments: Any, **options: Any) -> Any:
        try:
            result = work(*arguments, **options)
            if isinstance(result, str):
                print(result)
            sys.stdout.flush()
            return result if isinstance(result, dict) else True
        except DifferenceError as error:
            return TaskFailed(str(error), report=False)
        except BrokenPipeError:  # of `doit table | head`
            drop_output()
            return True
        except EXPECTED as error:
            return TaskFailed(message_of(error))

    return action


EXPECTED = (VoxbuildError, VoxrunError, OSError)
"""The errors that a user can act on."""


def message_of(error: Exception) -> str:
    """One of them for people: printable, without tokens."""
    if not isinstance(error, OSError):
        return sayable(str(error))
    hint = "; make room and run it again" if error.errno == errno.ENOSPC else ""
    place = error.filename2 or error.filename
    return sayable(f"{f'{place}: ' if place else ''}{error.strerror}{hint}")


@reported
def run(work: Work, *arguments: Any, **options: Any) -> Any:
    """Call a function. `options` are the task's command-line options, here and below."""
    return work(*arguments, **options)


@reported
def on_variant(stage: Work, source: str, recipe: str, **options: Any) -> Any:
    """Call a stage for a recipe over a source."""
    return stage(variant_of(source, recipe), **options)


@reported
def on_source(stage: Work, source: str) -> Any:
    """Call a stage for a source."""
    return stage(workspace(), read().source(source))


@reported
def on_recipes(stage: Work, source: str, recipes: Sequence[str], *arguments: str) -> Any:
    """Call a stage for a source and recipes over it."""
    book = read()
    return stage(workspace(), book.source(source), [book.recipe(name) for name in recipes], *arguments)


@reported
def on_clips(stage: Work, source: str, clips: str, *arguments: str | None) -> Any:
    """Call a stage for a source and a clip set."""
    return stage(workspace(), read().source(source), read().clips[clips], *arguments)


@reported
def on_project(command: Work, *arguments: Any, **options: Any) -> Any:
    """Call a function with the project and its recipes."""
    return command(workspace(), read(), *arguments, **options)


def variant_of(source: str | None, recipe: str) -> Variant:
    """The variant of a recipe over a source, or (None) the recipe's own source. Raises RecipeError."""
    book = read()
    chosen = book.recipe(recipe)
    return Variant(workspace(), book, book.source(source or chosen.source), chosen)
