"""doit's own commands, for people: hints in errors, and quiet ends where nothing can be printed.

`doit help` imports this module, so what tasks need is imported when a command is executed.
"""

import re
import sys
from contextlib import redirect_stdout
from functools import wraps
from typing import Any

from doit.cmd_help import Help as DoitHelp
from doit.cmd_info import Info as DoitInfo
from doit.cmd_list import List as DoitList
from doit.cmd_run import Run as DoitRun
from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand

from voxbuild.console import drop_output

from .database import Database

READER_GONE = 1
"""The exit code if standard output was closed by its reader, as `voxrun` has it."""


class Hints:
    """For doit's commands: if a recipe or a source is said as a task or an option, the error says how.

    Nor is there a traceback if standard output is closed by its reader, or cannot be written.
    """

    def execute(self, params: Any, args: list[str]) -> Any:
        """Execute the command; return its exit code. Raises InvalidCommand, CmdParseError."""
        try:
            code = super().execute(params, args)  # type: ignore[misc]
            sys.stdout.flush()
            return code
        except InvalidCommand as error:
            raise _hint(error) or error from None
        except CmdParseError as error:
            raise _option_hint(str(error)) or error from None
        except BrokenPipeError:
            drop_output()
            return READER_GONE
        except OSError as error:
            raise InvalidCommand(_told(error)) from error


class List(Hints, DoitList):  # type: ignore[misc]
    """doit's own `list`."""


class Help(Hints, DoitHelp):  # type: ignore[misc]
    """doit's own `help`."""


class Info(Hints, DoitInfo):  # type: ignore[misc]
    """doit's own `info`, with a message for a name that no task has."""

    @wraps(DoitInfo._execute)  # doit reads the names of its parameters
    def _execute(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super()._execute(*arguments, **options)
        except KeyError as error:
            raise InvalidCommand(not_found=error.args[0]) from error


class Run(Hints, DoitRun):  # type: ignore[misc]
    """doit's own `run`, with hints. A finished task is on record at once; a failed one spoils no other."""

    def get_backends(self) -> Any:
        """The backends of doit, with our own for JSON."""
        return super().get_backends() | {"json": Database}

    @wraps(DoitRun._execute)  # doit reads the names of its parameters
    def _execute(self, *arguments: Any, **options: Any) -> Any:
        from .actions import for_programs

        _forget_only_failed(self.dep_manager)
        if not for_programs():
            return super()._execute(*arguments, **options)
        with redirect_stdout(sys.stderr):
            return super()._execute(*arguments, **options | {"outfile": sys.stderr})


def _told(error: OSError) -> str:
    """The message of an error that no task has caught: of standard output, of doit's record, of a check."""
    try:
        print(flush=True)  # it fails again, though Python does not buffer at all
    except OSError:
        drop_output()
        return f"standard output cannot be written ({error.strerror})"
    from .actions import message_of

    return message_of(error)


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
    from .selection import book

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
