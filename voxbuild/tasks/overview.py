"""What there is to build, and what of it is built, for people."""

from collections.abc import Iterable
from typing import Any

from voxbuild.artifact.manifest import MANIFEST, VALIDATION, Manifest, read_validation
from voxbuild.console import markdown
from voxbuild.recipes.book import Book
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.workspace import Workspace

VARIANT_HEADER = [
    *("recipe", "bits/weight", "MB", "WER %", "worst set", "CER %"),
    *("top-1 %", "KL mean", "KL p99", "gates"),
]


def variant_row(
    recipe: Recipe, manifest: Manifest, validation: dict[str, Any] | None, current: bool
) -> list[str]:
    """One artifact in the table, see VARIANT_HEADER. `current`: what passed is what is there now."""
    row = [recipe.name, f"{manifest.bits_per_weight:.2f}", f"{manifest.weight_bytes / 1e6:,.2f}"]
    if validation is None:
        return [*row, *[""] * 6, "not validated"]
    near, total = validation["fidelity"], validation["total"]
    return [
        *row,
        f"{total['wer']:.2f}",
        f"{max(rates['wer'] for rates in validation['sets'].values()):.2f}",
        f"{total['cer']:.2f}",
        f"{100 * near['top1_agreement']:.2f}",
        f"{near['kl_mean']:.5f}",
        f"{near['kl_p99']:.4f}",
        ("pass" if current else "stale") if validation["passed"] else "FAIL",
    ]


def recipes_text(book: Book) -> str:
    """Recipes and sources, and what to say next."""
    rows = [
        (r.name, r.summary, r.source, "experimental" if r.experimental else "") for r in book.recipes.values()
    ]
    recipes = markdown(rows, ["recipe", "", "source", ""])
    sources = markdown([(s.name, s.summary) for s in book.sources.values()], ["source", ""])
    said = "doit build recipe=NAME [source=NAME] builds one; `doit list` shows all tasks"
    return f"{recipes}\n\n{sources}\n\n{said}"


def variants_table(work: Workspace, book: Book, source: Source, recipes: Iterable[Recipe]) -> str | None:
    """The variants of a source that are built; None if none is."""
    built = [r for r in recipes if (work.artifact(source.name, r.name) / MANIFEST).is_file()]
    rows = [_row(work, book, source, recipe) for recipe in built]
    return markdown(rows, VARIANT_HEADER) if rows else None


def _row(work: Workspace, book: Book, source: Source, recipe: Recipe) -> list[str]:
    folder = work.artifact(source.name, recipe.name)
    stored = Manifest.load(folder)
    validation = read_validation(folder) if (folder / VALIDATION).is_file() else None
    current = stored.validated and stored.recipe.get("digest") == book.digest(source, recipe)
    return variant_row(recipe, stored, validation, current)
