"""What there is to build, and what of it is built, for people."""

from collections.abc import Iterable

from voxbuild.artifact.manifest import MANIFEST, VALIDATION, Manifest, read_validation
from voxbuild.recipes.book import Book
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source

from .console import VARIANT_HEADER, markdown, variant_row
from .workspace import Workspace


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
