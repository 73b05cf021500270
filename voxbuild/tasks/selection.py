"""What was said on the command line: which recipes over which sources; and what their tasks have in common.

`recipe=` keeps one recipe, `source=` puts recipes over another source, `lock=` holds a build to a lock.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from doit import get_var
from doit.exceptions import InvalidTask

from voxbuild.artifact.variant import Variant
from voxbuild.card.siblings import Record, read_record
from voxbuild.errors import VoxbuildError
from voxbuild.publish.targets import TARGETS
from voxbuild.recipes.book import Book, read_book
from voxbuild.recipes.source import Source

from .actions import Work, on_variant, workspace

Task = dict[str, Any]

VARIABLES = ("recipe", "source", "target", "tag", "lock", "key", "branch", "reason")
"""What may be said as NAME=VALUE on the command line."""
LOUD: Task = {"verbosity": 2, "io": {"capture": False}}
"""Nothing is captured: progress bars need the terminal."""
ALWAYS: Task = {"uptodate": [False]} | LOUD
SHOWS: Task = {"meta": {"title": False}} | ALWAYS
"""What it prints is all there is on stdout, for people and for pipes."""
FORMAT: Task = {
    "name": "format",
    "long": "format",
    "default": "table",
    "choices": (("table", "for people"), ("json", "everything")),
    "help": "table or json",
}
"""The option of tasks that print either."""


def builds() -> list[Variant]:
    """The artifacts that were asked for."""
    known, recipe, source = book(), get_var("recipe"), get_var("source")
    with _load_time():
        recipes = [known.recipe(recipe)] if recipe else list(known.recipes.values())
        over = known.source(source) if source else None
        return [
            Variant(workspace(), known, over or known.source(chosen.source), chosen) for chosen in recipes
        ]


def book() -> Book:
    """The project's recipes, if what was said on the command line makes sense."""
    with _load_time():
        _check_variables()
        return read_book(workspace().recipes)


def record(variant: Variant) -> Record:
    """What is published of a variant's source, by the record in the repository."""
    with _load_time():
        return read_record(variant.record_file)


def key(variant: Variant) -> str:
    """The name of a stage's subtask."""
    return f"{variant.source.name}:{variant.recipe.name}"


def doing(stage: Work, variant: Variant, **options: Any) -> Any:
    """A task's action: call a stage of a variant."""
    return (on_variant, [stage, variant.source.name, variant.recipe.name], options)


def local(path: Path) -> str:
    """A path as doit's database holds it."""
    return str(path.relative_to(workspace().root))


def artifact_file(variant: Variant, name: str) -> str:
    """A file of an artifact."""
    return local(variant.folder / name)


def recipe_file(variant: Variant) -> str:
    """The YAML of a recipe."""
    return local(workspace().recipes / f"{variant.recipe.name}.yaml")


def source_file(source: Source) -> str:
    """That of a source."""
    return local(workspace().recipes / "sources" / f"{source.name}.yaml")


def clip_set_file(name: str) -> str:
    """That of a clip set."""
    return local(workspace().clips / f"{name}.yaml")


def clip_paths(name: str) -> list[str]:
    """What a clip set is made of: its definition, transcripts and recordings."""
    members = book().clips[name].corpus.files(workspace().clips)
    return [clip_set_file(name), *map(local, members)]


def _check_variables() -> None:
    """A mistyped name would silently build everything."""
    for argument in sys.argv[1:]:
        said = re.match(r"(\w+)=", argument)
        if said and said[1] not in VARIABLES:
            raise InvalidTask(f"unknown variable {said[1]}; known: {', '.join(VARIABLES)}")
    if get_var("lock") and not get_var("recipe"):
        raise InvalidTask("lock= is of one recipe; say which with recipe=")
    if get_var("target", "registry") not in TARGETS:
        raise InvalidTask(f"unknown target {get_var('target')}; known: {', '.join(TARGETS)}")


@contextmanager
def _load_time() -> Iterator[None]:
    """A mistake in a file becomes doit's own error of loading: one message, no traceback."""
    try:
        yield
    except VoxbuildError as error:
        raise InvalidTask(str(error)) from error
