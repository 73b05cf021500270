"""What `doit publish`, `verify`, `yank` and `history` were asked for on the command line."""

from dataclasses import dataclass
from pathlib import Path

from voxbuild.artifact.variant import Variant
from voxbuild.errors import PublishError
from voxbuild.recipes.book import Book
from voxbuild.workspace import Workspace

from .target import PublishTarget
from .targets import DEFAULT_TARGET, TARGETS


@dataclass(frozen=True)
class Order:
    """One recipe, over one source or (None) all that fit, and one target."""

    recipe: str | None = None
    named: bool = True
    """Whether the recipe was asked for by name: then it must be built and validated."""
    source: str | None = None
    target: str | None = None
    tag: str | None = None
    branch: str | None = None
    key: str | None = None
    """The path of a public key, to verify with."""

    def goal(self, work: Workspace) -> PublishTarget:
        """The target, opened."""
        return TARGETS[self.target or DEFAULT_TARGET](work)

    def variants(self, work: Workspace, book: Book) -> list[Variant]:
        """The recipe's artifacts, each followed by its views. Raises RecipeError, PublishError."""
        if self.recipe is None:
            raise PublishError("say of which recipe: recipe=NAME")
        recipe, all_sources = book.recipe(self.recipe), list(book.sources.values())
        one = [book.source(self.source or recipe.source)] if self.named or self.source else None
        artifacts = [Variant(work, book, source, recipe) for source in one or all_sources]
        return [variant for artifact in artifacts for variant in (artifact, *artifact.views)]

    @property
    def public_key(self) -> Path | None:
        """The key to verify with, if one was given."""
        return Path(self.key) if self.key else None
