"""Words on the command line that name a recipe or a source where doit expects a task."""

import re
import sys
from functools import wraps
from typing import Any

from doit.cmd_run import Run as DoitRun
from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand

from .database import Database
from .selection import book


class Hints:
    """For doit's commands: if a recipe or a source is said as a task or an option, the error says how."""

    def execute(self, params: Any, args: list[str]) -> Any:
        """Execute the command. Raises InvalidCommand, CmdParseError."""
        try:
            return super().execute(params, args)  # type: ignore[misc]
        except InvalidCommand as error:
            raise _hint(error) or error from None
        except CmdParseError as error:
            raise _option_hint(str(error)) or error from None


class Run(Hints, DoitRun):  # type: ignore[misc]
    """doit's own `run`, with hints. A finished task is on record at once; a failed one spoils no other."""

    def get_backends(self) -> Any:
        """The backends of doit, with our own for JSON."""
        return super().get_backends() | {"json": Database}

    @wraps(DoitRun._execute)  # doit reads the names of its parameters
    def _execute(self, *arguments: Any, **options: Any) -> Any:
        _forget_only_failed(self.dep_manager)
        return super()._execute(*arguments, **options)


def _forget_only_failed(database: Any) -> None:
    """Let doit's database keep the tasks that did not run because one before them failed.

    doit forgets them, too, so that a source that is missing for a moment would be converted again.
    """
    forget = database.remove_success
    failed: set[str] = set()

    def remove_success(task: Any) -> None:
        prevented = failed.intersection(task.task_dep)
        failed.add(task.name)
        if not prevented:
            forget(task)

    database.remove_success = remove_success


def _hint(error: InvalidCommand) -> InvalidCommand | None:
    """The error to show instead; None if nothing has the unknown name."""
    name = error.not_found
    kind = next((kind for kind, known in _known().items() if name in known), None)
    if kind is None:
        return None
    return InvalidCommand(f"{name} is a {kind}, not a task; did you mean: {' '.join(['doit', *_meant()])}")


def _option_hint(said: str) -> CmdParseError | None:
    """The error to show instead of doit's, which lists its own objects; None if it is of another kind."""
    unknown = re.search(r"option (\S+) not recognized", said)
    if unknown is None:
        return None
    options = [f"--{name}" for name in re.findall(r"'long':'([^']+)'", said)]
    listed = f", but {', '.join(options)}" if options else ""
    return CmdParseError(
        f"there is no option {unknown[1]} here{listed}; values are given as NAME=VALUE, such as recipe=4bit"
    )


def _known() -> dict[str, Any]:
    """Variable -> the names that it can select."""
    return {"recipe": book().recipes, "source": book().sources}


def _meant() -> list[str]:
    """The words of the command line, with names of recipes and sources as values of their variables."""
    words = sys.argv[1:]
    for kind, known in _known().items():
        said = [word for word in words if word in known]
        if said:
            place = words.index(said[0])
            rest = [word for word in words if word not in known]
            words = [*rest[:place], f"{kind}={','.join(said)}", *rest[place:]]
    return words if any("=" not in word for word in words) else ["build", *words]
