"""The command-line arguments of `doit publish`, `verify`, `siblings`, `yank` and `history`."""

from dataclasses import dataclass

from voxbuild.artifact.variant import Variant
from voxbuild.errors import PublishError
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace

from .target import PublishTarget
from .targets import DEFAULT_TARGET, TARGETS


@dataclass(frozen=True)
class Order:
    """One recipe, over one source or (None) all of recipes/sources/, and one target."""

    recipe: str | None = None
    named: bool = True
    """Whether recipe= names the recipe: then it must be built and validated."""
    source: str | None = None
    target: str | None = None
    tag: str | None = None
    branch: str | None = None
    key: str | None = None
    """Path of the public key to verify with."""

    def open_target(self, work: Workspace) -> PublishTarget:
        """The target. Raises PublishError."""
        return TARGETS[self.target or DEFAULT_TARGET](work)

    def not_built(self, book: Book) -> str:
        """A line that says so, for a recipe that is not named."""
        own = "; a source of your own: source=NAME" if book.found and not self.source else ""
        return f"{self.recipe}: not built{own}"

    def variants(self, work: Workspace, book: Book) -> list[Variant]:
        """The recipe's artifacts, each followed by its views. Raises RecipeError, PublishError."""
        if self.recipe is None:
            raise PublishError("name the recipe: recipe=NAME")
        if "," in self.recipe:
            raise PublishError(f"recipe={self.recipe}: name one recipe here, not a list")
        recipe = book.recipe(self.recipe)
        one = [book.source(self.source or recipe.source)] if self.named or self.source else None
        artifacts = [Variant(work, book, source, recipe) for source in one or book.own_sources]
        return [variant for artifact in artifacts for variant in (artifact, *artifact.views)]
