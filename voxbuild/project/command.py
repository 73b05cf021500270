"""The command `python -m voxbuild`."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from voxbuild import __version__
from voxbuild.console import sayable
from voxbuild.errors import ProjectError
from voxbuild.recipes.recipe import PLACEHOLDER

from .new import write_project

ABOUT = "From a checkpoint of Voxtral-Mini-4B-Realtime to published MLX weights, by recipes."
EPILOG = "In a project, `doit` lists recipes and sources, and `doit list` all commands."
FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if it failed, 2 (argparse's) for wrong arguments."""
    commands = parser()
    options = commands.parse_args(arguments)
    if options.command is None:
        commands.print_help()
        return 0
    try:
        write_project(options.folder, options.owner)
    except ProjectError as error:
        return _failed(str(error))
    except OSError as error:
        return _failed(f"{error.filename2 or error.filename or options.folder}: {error.strerror}")
    except KeyboardInterrupt:
        print("\ninterrupted: nothing was written", file=sys.stderr)
        return INTERRUPTED
    print(sayable(_next_steps(options.folder, options.owner)))
    return 0


def parser() -> argparse.ArgumentParser:
    """The options."""
    commands = argparse.ArgumentParser("python -m voxbuild", description=ABOUT, epilog=EPILOG)
    commands.add_argument("--version", action="version", version=f"voxbuild {__version__}")
    known = commands.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    about = "write a project in which all commands work: recipes, model cards, and a small model to try"
    new = known.add_parser("new", help=about, description=about.capitalize() + ".")
    new.add_argument("folder", metavar="FOLDER", type=Path, help="a new folder, or an empty one")
    new.add_argument(
        "--owner",
        default=PLACEHOLDER,
        help="the account or organization on the Hub under which the recipes publish (default: %(default)s)",
    )
    return commands


def _failed(message: str) -> int:
    print(f"voxbuild: {sayable(message)}", file=sys.stderr)
    return FAILED


def _next_steps(folder: Path, owner: str) -> str:
    place = shlex.quote(str(folder))
    steps = [
        f"wrote {place}; next:",
        f"  cd {place}",
        "  doit plan recipe=4bit source=tiny",
        "  doit build recipe=4bit source=tiny",
    ]
    if owner == PLACEHOLDER:
        steps.append(f"its recipes publish as {owner}/...: put your name into recipes/*.yaml, or use --owner")
    return "\n".join(steps)
