"""What the tasks do, by name: the one seam where errors become doit's failures and results are printed."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from doit.exceptions import TaskFailed

from voxbuild import stages
from voxbuild.artifact import attest, signature
from voxbuild.console import sayable
from voxbuild.errors import DifferenceError, PublishError, VoxbuildError
from voxbuild.plan import preview
from voxbuild.publish import tags, upload
from voxbuild.publish import verify as verifying
from voxbuild.publish.registry import catalogue
from voxbuild.publish.registry.target import LocalRegistry
from voxbuild.publish.survey import update_record
from voxbuild.publish.target import Destination
from voxbuild.publish.upload import Order
from voxbuild.recipes.book import Book, read_book
from voxbuild.recipes.loaders import views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.validate import reproduce as comparing
from voxbuild.workspace import Workspace
from voxrun.errors import VoxrunError

from . import overview

PARITY = Path("tests/oracle/parity.py")
PARITY_REPORT = Path("docs/parity.md")
COMPATIBILITY = Path("benchmarks/compatibility.py")
COMPATIBILITY_REPORT = Path("docs/compatibility.md")
ACTIONS: dict[str, Callable[..., str | None]] = {}
Action = Callable[..., str | None]


def workspace() -> Workspace:
    """The project in the current folder: doit runs everything beside dodo.py."""
    return Workspace(Path.cwd())


def run(name: str, arguments: dict[str, Any], **said: Any) -> Any:
    """Run an action. An error that a user can act on becomes one clean message and a failed task.

    `said` are the task's own options on the command line.
    """
    try:
        book = read_book(workspace().recipes)
        result = ACTIONS[name](book, **arguments, **said) or True
        sys.stdout.flush()
        return result
    except DifferenceError as error:
        return TaskFailed(str(error), report=False)
    except (VoxbuildError, VoxrunError) as error:
        return TaskFailed(sayable(str(error)))
    except BrokenPipeError:  # `doit table | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    except OSError as error:
        hint = "; make room and run it again" if error.errno == errno.ENOSPC else ""
        return TaskFailed(sayable(f"{error.filename2 or error.filename}: {error.strerror}{hint}"))


def action(function: Action) -> Action:
    """Register a function under its own name."""
    ACTIONS[function.__name__] = function
    return function


@action
def fetch(book: Book, source: str) -> None:
    """Have a source's files."""
    stages.fetch_source(workspace(), book.source(source))


@action
def show_plan(book: Book, chosen: list[tuple[str, str]], format: str, tensors: bool) -> None:
    """Print plans, of (recipe, source)s, from the sources' headers alone."""
    print(preview.show([(book.recipe(r), book.source(s)) for r, s in chosen], workspace(), format, tensors))


@action
def write_plan(book: Book, source: str, recipe: str, lock: str | None) -> None:
    """Write down what convert depends on, if that is what the lock says."""
    held = Path(lock) if lock else None
    stages.write_plan(workspace(), book.source(source), book.recipe(recipe), held)


@action
def convert(book: Book, source: str, recipe: str) -> str:
    """Make the weights; the result is their digest."""
    return stages.convert_artifact(workspace(), book.source(source), book.recipe(recipe))


@action
def reference(book: Book, source: str, clips: str) -> None:
    """Transcribe a clip set with the unquantized source."""
    stages.transcribe_reference(workspace(), book.source(source), book, clips)


@action
def calibrate(book: Book, source: str, clips: str) -> None:
    """Learn from a clip set how much each input of each matrix matters."""
    stages.calibrate_source(workspace(), book.source(source), book, clips)


@action
def validate(book: Book, source: str, recipe: str) -> None:
    """Hold an artifact against its gates and print the table."""
    print(stages.validate_artifact(workspace(), book.source(source), book.recipe(recipe), book))


@action
def card(book: Book, source: str, recipe: str) -> None:
    """Write the model card."""
    stages.write_card(workspace(), book.source(source), book.recipe(recipe), book)


@action
def bom(book: Book, source: str, recipe: str) -> None:
    """Write the bill of materials."""
    attest.write_bom(workspace(), book.source(source), book.recipe(recipe), book)


@action
def provenance(book: Book, source: str, recipe: str) -> None:
    """Write the provenance."""
    attest.write_provenance(workspace(), book.source(source), book.recipe(recipe), book)


@action
def sign(book: Book, source: str, recipe: str, key: str | None, named: bool = True) -> None:
    """Sign an artifact and its views."""
    origin, chosen = book.source(source), book.recipe(recipe)
    done = signature.sign_artifact(workspace(), origin, chosen, key, named)
    print(f"{recipe} over {source}: {done}")


@action
def manifest(book: Book, source: str, recipe: str) -> None:
    """Complete the manifest."""
    stages.finish_manifest(workspace(), book.source(source), book.recipe(recipe), book)


@action
def views(book: Book, source: str, recipe: str) -> None:
    """Write and prove the views of an artifact."""
    origin, chosen = book.source(source), book.recipe(recipe)
    for loader in views_of(chosen.dialects):
        print(stages.make_view(workspace(), origin, chosen, book, loader))


@action
def publish(
    book: Book,
    recipe: str,
    order: dict[str, Any],
    branch: str | None,
    pull_request: bool,
    dry_run: bool,
) -> None:
    """Publish a recipe's validated artifact and its views, or show what would change."""
    destination = Destination(branch or None, pull_request)
    wanted = Order(**order, destination=destination, dry_run=dry_run)
    upload.publish(workspace(), book, book.recipe(recipe), wanted)


@action
def verify(book: Book, recipe: str, order: dict[str, Any], key: str | None) -> None:
    """Prove that what is published of a recipe is what its manifest says. Raises DifferenceError."""
    wanted = Order(**order, key=Path(key) if key else None)
    verifying.verify(workspace(), book, book.recipe(recipe), wanted)


@action
def yank(book: Book, recipe: str | None, order: dict[str, Any], reason: str | None) -> None:
    """Withdraw a tag."""
    tags.yank(workspace(), book, _said(book, recipe), Order(**order), reason or "")


@action
def history(book: Book, recipe: str | None, order: dict[str, Any], format: str) -> None:
    """Print the tags that were published."""
    print(tags.history(workspace(), book, _said(book, recipe), Order(**order), format))


def _said(book: Book, recipe: str | None) -> Recipe:
    if recipe is None:
        raise PublishError("say of which recipe: recipe=NAME")
    return book.recipe(recipe)


@action
def show_registry(book: Book, format: str, gc: bool, dry_run: bool) -> None:
    """Print the entries of the local registry, or what is removed of it because no tag needs it."""
    registry = LocalRegistry(workspace().registry)
    text, damaged = catalogue.collect(registry, dry_run) if gc else catalogue.show(registry, format)
    print(text)
    if damaged:
        raise PublishError("\n".join(damaged))


@action
def siblings(book: Book, source: str | None, target: str | None, replace: bool) -> None:
    """Put on record what is published of a source, or of each."""
    goal = upload.TARGETS[target or upload.DEFAULT_TARGET](workspace())
    for origin in [book.source(source)] if source else book.sources.values():
        for line in update_record(workspace(), goal, origin, book.recipes.values(), replace):
            print(f"{origin.name}: {line}")


@action
def show_recipes(book: Book) -> None:
    """Print recipes and sources, and what to say next."""
    print(overview.recipes_text(book))


@action
def show_table(book: Book, source: str | None, recipe: str | None) -> None:
    """Print the variants that are built, a table a source."""
    recipes = [book.recipe(recipe)] if recipe else list(book.recipes.values())
    for origin in [book.source(source)] if source else book.sources.values():
        if table := overview.variants_table(workspace(), book, origin, recipes):
            print(f"{origin.name}\n\n{table}\n")


@action
def show_diff(book: Book, source: str | None, artifacts: list[str], format: str) -> None:
    """Print how two artifacts differ. Raises DifferenceError if they do."""
    folders = [_artifact_folder(book, source, name) for name in artifacts]
    equal, text = comparing.diff(folders, artifacts, format)
    print(text)
    if not equal:
        raise DifferenceError


def _artifact_folder(book: Book, source: str | None, name: str) -> Path:
    """The folder that is meant: a recipe's, or the one of that path."""
    if name not in book.recipes:
        return Path(name)
    return workspace().artifact(source or book.recipe(name).source, name)


@action
def reproduce(book: Book, source: str, recipe: str) -> None:
    """Build again, print whether the files are the same. Raises VoxbuildError if they are not."""
    comparing.reproduce(workspace(), book.source(source), book.recipe(recipe))


@action
def show_matrix(book: Book) -> None:
    """Print the recipes as the `include` of a GitHub Actions matrix."""
    rows = [{"recipe": r.name, "experimental": r.experimental} for r in book.recipes.values()]
    print(json.dumps({"include": rows}))


@action
def parity(book: Book) -> None:
    """Hold voxrun against transformers, in a process of its own: tests are no part of this package."""
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise VoxbuildError(
            f"the oracle needs {' and '.join(missing)}, not installed here: pip install -e '.[oracle]'"
        )
    if subprocess.run([sys.executable, PARITY, PARITY_REPORT]).returncode:
        raise VoxbuildError("voxrun is not what the oracle says, or could not be compared; see above")


@action
def compatibility(book: Book) -> None:
    """Load every variant with every loader, in a process of its own, as `parity` does."""
    if subprocess.run([sys.executable, COMPATIBILITY, COMPATIBILITY_REPORT]).returncode:
        raise VoxbuildError("the loaders could not be compared; see above")
