"""What the tasks do, by name: the one seam where errors become doit's failures and results are printed."""

import errno
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from doit.exceptions import TaskFailed

from voxrun.errors import VoxrunError

from . import __version__, stages
from .card import repo_name
from .errors import PublishError, VoxbuildError
from .hub import Hub
from .manifest import MANIFEST, VALIDATION, Manifest
from .publish import PublishTarget, prepare
from .recipe import Book, Recipe, Source, read_book
from .registry import LocalRegistry
from .report import VARIANT_HEADER, markdown, variant_row
from .workspace import Workspace, read_json

ACTIONS: dict[str, Callable[..., str | None]] = {}
Action = Callable[..., str | None]


def workspace() -> Workspace:
    """The project in the current folder: doit runs everything beside dodo.py."""
    return Workspace(Path.cwd())


def run(name: str, arguments: dict[str, Any]) -> Any:
    """Run an action. An error that a user can act on becomes one clean message and a failed task."""
    try:
        book = read_book(workspace().recipes)
        result = ACTIONS[name](book, **arguments) or True
        sys.stdout.flush()
        return result
    except (VoxbuildError, VoxrunError) as error:
        return TaskFailed(str(error))
    except BrokenPipeError:  # `doit table | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return TaskFailed(f"the disk is full ({error.filename}); make room and run it again")
        raise


def action(function: Action) -> Action:
    """Register a function under its own name."""
    ACTIONS[function.__name__] = function
    return function


@action
def fetch(book: Book, source: str) -> None:
    """Have a source's files."""
    stages.fetch_source(workspace(), book.source(source))


@action
def show_plan(book: Book, source: str, recipe: str) -> None:
    """Print a plan."""
    print(stages.show_plan(workspace(), book.source(source), book.recipe(recipe)))


@action
def write_plan(book: Book, source: str, recipe: str) -> None:
    """Write down what convert depends on."""
    stages.write_plan(workspace(), book.source(source), book.recipe(recipe))


@action
def convert(book: Book, source: str, recipe: str) -> str:
    """Make the weights; the result is their digest."""
    return stages.convert_artifact(workspace(), book.source(source), book.recipe(recipe))


@action
def reference(book: Book, source: str, clips: str) -> None:
    """Transcribe a clip set with the unquantized source."""
    stages.transcribe_reference(workspace(), book.source(source), book, clips)


@action
def validate(book: Book, source: str, recipe: str) -> None:
    """Hold an artifact against its gates and print the table."""
    print(stages.validate_artifact(workspace(), book.source(source), book.recipe(recipe), book))


@action
def card(book: Book, source: str, recipe: str) -> None:
    """Write the model card."""
    stages.write_card(workspace(), book.source(source), book.recipe(recipe), book)


@action
def manifest(book: Book, source: str, recipe: str) -> None:
    """Complete the manifest."""
    stages.finish_manifest(workspace(), book.source(source), book.recipe(recipe))


@action
def publish(
    book: Book, recipe: str, source: str | None, target: str | None, tag: str | None, must: bool
) -> None:
    """Publish a recipe's validated artifacts that are not yet published, over one source or all.

    `must`: it was asked for by name, so that finding nothing validated is an error.
    """
    chosen, goal = book.recipe(recipe), _target(target)
    found = False
    for origin in [book.source(source)] if source else book.sources.values():
        folder = workspace().artifact(origin.name, recipe)
        if must or _is_validated(folder):
            if not (folder / MANIFEST).is_file():
                continue
            found = True
            _publish_one(goal, folder, origin, chosen, tag)
    if must and not found:
        where = f" source={source}" if source else ""
        raise PublishError(f"{recipe} is not built; run `doit build recipe={recipe}{where}` first")


def _publish_one(goal: PublishTarget, folder: Path, source: Source, recipe: Recipe, tag: str | None) -> None:
    tag = tag or recipe.publish.tag or f"v{__version__}"
    release = prepare(folder, recipe.digest, repo_name(source, recipe), tag)
    if goal.published(release):
        print(f"{recipe.name} over {source.name}: already published as {release.repo} at {tag}")
    else:
        print(f"{recipe.name} over {source.name}: published {goal.publish(release)}")


def _is_validated(folder: Path) -> bool:
    return (folder / MANIFEST).is_file() and Manifest.load(folder).validated


def _target(name: str | None) -> PublishTarget:
    if name in (None, "registry"):
        return LocalRegistry(workspace().registry)
    if name == "hub":
        return Hub()
    raise PublishError(f"there is no target {name}; known: registry, hub")


@action
def show_recipes(book: Book) -> None:
    """Print recipes and sources, and what to say next."""
    rows = [
        (r.name, r.summary, r.source, "experimental" if r.experimental else "") for r in book.recipes.values()
    ]
    print(markdown(rows, ["recipe", "", "source", ""]))
    print()
    print(markdown([(s.name, s.summary) for s in book.sources.values()], ["source", ""]))
    print("\ndoit build recipe=NAME [source=NAME] builds one; `doit list` shows all tasks")


@action
def show_table(book: Book, source: str | None) -> None:
    """Print the variants that are built, a table a source."""
    for origin in [book.source(source)] if source else book.sources.values():
        rows = [
            _row(workspace().artifact(origin.name, recipe.name), recipe)
            for recipe in book.recipes.values()
            if (workspace().artifact(origin.name, recipe.name) / MANIFEST).is_file()
        ]
        if rows:
            print(f"{origin.name}\n\n{markdown(rows, VARIANT_HEADER)}\n")


def _row(folder: Path, recipe: Recipe) -> list[str]:
    validation = folder / VALIDATION
    stored = read_json(validation) if validation.is_file() else None
    return variant_row(recipe, Manifest.load(folder), stored)


@action
def show_matrix(book: Book) -> None:
    """Print the recipes as the `include` of a GitHub Actions matrix."""
    rows = [{"recipe": r.name, "experimental": r.experimental} for r in book.recipes.values()]
    print(json.dumps({"include": rows}))
