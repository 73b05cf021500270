"""The commands that show recipes and built variants."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxbuild.artifact.manifest import VALIDATION, Manifest, read_validation
from voxbuild.artifact.variant import Variant
from voxbuild.console import markdown
from voxbuild.errors import DifferenceError
from voxbuild.recipes.book import Book
from voxbuild.statistics.estimate import Estimate
from voxbuild.validate.reproduce import diff
from voxbuild.workspace import Workspace

from . import variables

VARIANT_HEADER = [
    *("recipe", "bits/weight", "MB", "WER %", "increase", "same texts %"),
    *("top-1 %", "KL mean", "KL p99", "gates"),
]
FIDELITY = (("top1_agreement", 100, 2), ("kl_mean", 1, 5), ("kl_p99", 1, 4))
"""Name, factor and digits of each column."""


def show_recipes(work: Workspace, book: Book) -> str:
    """The recipes, sources and clip sets, and the next command."""
    rows = [
        (r.name, r.summary, r.source, "experimental" if r.experimental else "") for r in book.recipes.values()
    ]
    recipes = markdown(rows, ["recipe", "", "source", ""])
    sources = markdown([(s.name, s.summary) for s in book.sources.values()], ["source", ""])
    clips = markdown([(c.name, c.summary, c.language) for c in book.clips.values()], ["clip set", "", ""])
    hint = "doit build recipe=NAME [source=NAME] builds one; `doit list` shows all tasks"
    return f"{recipes}\n\n{sources}\n\n{clips}\n\n{hint}"


def show_matrix(work: Workspace, book: Book) -> str:
    """The recipes as the `include` of a GitHub Actions matrix."""
    rows = [{"recipe": r.name, "experimental": r.experimental} for r in book.recipes.values()]
    return json.dumps({"include": rows})


def show_table(work: Workspace, book: Book, source: str | None, names: Sequence[str]) -> str | None:
    """The variants of these recipes, or (none) of all, that are built: a table for each source."""
    names = [book.recipe(name).name for name in names or book.recipes]
    tables = []
    for each in [book.source(source)] if source else book.sources.values():
        known = book
        if each.name in book.found and not source:  # with what is kept for it, such as its clips
            known = variables.changed(work, (("source", each.name),))
        variants = [Variant(work, known, known.source(each.name), known.recipe(name)) for name in names]
        if rows := [_row(variant) for variant in variants if variant.is_built]:
            tables.append(f"{each.name}\n\n{markdown(rows, VARIANT_HEADER)}\n")
    return "\n".join(tables) or None


def _row(variant: Variant) -> list[str]:
    folder = variant.folder
    manifest = Manifest.load(folder)
    row = [variant.recipe.name, f"{manifest.bits_per_weight:.2f}", f"{manifest.weight_bytes / 1e6:,.2f}"]
    if not (folder / VALIDATION).is_file():
        return [*row, *[""] * 6, "not validated"]
    current = manifest.validated and manifest.recipe.get("digest") == variant.digest
    return row + _measured(read_validation(folder), current)


def _measured(validation: dict[str, Any], current: bool) -> list[str]:
    """`current`: whether the validation is of the current artifact and recipe."""
    near, total = validation["fidelity"], validation["total"]
    return [
        Estimate.of(total["wer"]).in_words(2),
        Estimate.of(total.get("wer_increase")).in_words(2),
        f"{100 * Estimate.of(total.get('text_agreement')).value:.0f}",
        *((Estimate.of(near[name]) * times).in_words(digits) for name, times, digits in FIDELITY),
        ("pass" if current else "stale") if validation["passed"] else "FAIL",
    ]


def show_diff(work: Workspace, book: Book, source: str | None, artifacts: Sequence[str], format: str) -> None:
    """Print how two artifacts, each a recipe or a folder, differ. Raises DifferenceError if they do."""
    folders = [
        work.artifact(source or book.recipe(name).source, name) if name in book.recipes else Path(name)
        for name in artifacts
    ]
    equal, text = diff(folders, artifacts, format)
    print(text)
    if not equal:
        raise DifferenceError
