"""The doit task that evaluates: error rates by variant, delay and clip set."""

import sys
from typing import Any

from doit import get_var

from voxbuild.errors import RecipeError
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace

from .actions import for_programs, on_project, variant_of
from .selection import FORMAT, SHOWS, Task, builds, delays, key, recipe_names, source_name

FORMATS: Task = FORMAT | {
    "choices": (("table", "for people"), ("json", "everything"), ("csv", "a line for each cell")),
    "help": "table, json or csv",
}
EMBED_AUDIO: Task = {
    "name": "embed_audio",
    "long": "embed-audio",
    "type": bool,
    "default": False,
    "help": "put the recordings into the page",
}


def task_evaluate() -> Task:
    """Hear clips with built variants: doit evaluate [delays=160,480] [--format json|csv] [--embed-audio]."""
    chosen = [variant for variant in builds() if recipe_names() or variant.is_built]
    sources = {variant.source.name for variant in chosen}
    names = [(variant.source.name, variant.recipe.name) for variant in chosen]
    return {
        "actions": [(evaluate_built, [source_name(), names])],
        "params": [FORMATS, EMBED_AUDIO],
        "task_dep": [
            *(f"_unquantize:{source}" for source in sorted(sources)),
            *(f"convert:{key(variant)}" for variant in chosen),
        ],
    } | SHOWS


def evaluate_built(source: str | None, chosen: list[tuple[str, str]], format: str, embed_audio: bool) -> Any:
    """The action of `doit evaluate`, for pairs of source and recipe that are converted."""
    return on_project(_evaluate, source, chosen, format, embed_audio)


def _evaluate(
    work: Workspace, book: Book, source: str | None, chosen: list[tuple[str, str]], form: str, embed: bool
) -> None:
    from voxbuild.evaluate.report import evaluate

    if not chosen:
        over = f" over {source}" if source else ""
        raise RecipeError(f"nothing is built{over}; name recipes with recipe=NAME, a source with source=NAME")
    if len(sources := sorted({name for name, _ in chosen})) > 1:
        raise RecipeError(f"these recipes have several sources; name one: source={sources[0]}")
    variants = [variant_of(*names) for names in chosen]
    text = evaluate(variants, delays(), form, embed, get_var("scheduler"))
    print(text, file=sys.__stdout__ if for_programs() else sys.stdout)
