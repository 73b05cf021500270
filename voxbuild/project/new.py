"""Writes a new project: the template's files under an owner's name, a README and a .gitignore."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from voxbuild.console import some_of
from voxbuild.errors import ProjectError
from voxbuild.recipes.recipe import PLACEHOLDER

from .template import template_files, template_folder

OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
REPOSITORY = re.compile(r"^(  (?:repo|view): )voxbuild/", re.MULTILINE)
"""The line of a recipe that names the repository of an artifact or its views."""
IGNORED = "out/\n.doit.db*\n.venv/\n__pycache__/\n"


def write_project(folder: Path, owner: str = PLACEHOLDER) -> None:
    """Write a project whose recipes publish to this owner's repositories; the folder is new or empty.

    Raises ProjectError if it is not, or if nobody on the Hub can have that name; OSError. On an error
    nothing is written.
    """
    if not OWNER.fullmatch(owner) or "--" in owner or ".." in owner:
        raise ProjectError(
            f"{owner}: not the name of an account or organization; use letters, digits, '-', '_' and '.'"
        )
    _check_empty(folder)
    with _appearing(folder) as partial:
        _copy_template(partial)
        for recipe in (partial / "recipes").glob("*.yaml"):
            recipe.write_text(REPOSITORY.sub(rf"\g<1>{owner}/", recipe.read_text("utf-8")), "utf-8")
        shutil.copyfile(Path(__file__).with_name("README.md"), partial / "README.md")
        (partial / ".gitignore").write_text(IGNORED)


def _copy_template(folder: Path) -> None:
    """Raises ProjectError if voxbuild was installed without its files."""
    template = template_folder()
    if not (template / "dodo.py").is_file():
        raise ProjectError(f"{template}: the files of a new project are missing; install voxbuild again")
    for path in template_files(template):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template / path, folder / path)


def _check_empty(folder: Path) -> None:
    """Raises ProjectError if the folder holds anything, or is none."""
    if folder.is_dir():
        if there := sorted(path.name for path in folder.iterdir()):
            raise ProjectError(
                f"{folder}: not empty: it holds {some_of(there)}; name a new folder or an empty one"
            )
    elif os.path.lexists(folder):
        raise ProjectError(f"{folder}: not a folder; name a new folder or an empty one")


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` on success and is deleted on an error.

    An empty folder that exists is filled, not replaced: it may be the shell's current one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    filled = folder.is_dir()
    with TemporaryDirectory(prefix=".voxbuild-new-", dir=folder if filled else folder.parent) as temporary:
        partial = Path(temporary, "project")
        partial.mkdir()
        yield partial
        if filled:
            _move_all(partial, folder)
        else:
            partial.rename(folder)


def _move_all(partial: Path, folder: Path) -> None:
    """Move the files into the folder, or none of them."""
    moved = []
    try:
        for path in sorted(partial.iterdir()):
            moved.append(path.rename(folder / path.name))
    except BaseException:  # Ctrl-C as well
        for path in moved:
            path.rename(partial / path.name)
        raise
