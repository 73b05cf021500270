"""What could be published: artifacts and their views, built or not, with the names they go by."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

from voxbuild.recipes.book import Book
from voxbuild.recipes.loaders import Loader, views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source

from . import view_stages
from .manifest import MANIFEST, Manifest
from .naming import repo_name, tag_name
from .workspace import Workspace


@dataclass(frozen=True)
class Candidate:
    """An artifact, or its view for a loader."""

    source: Source
    recipe: Recipe
    loader: Loader | None = None

    @property
    def name(self) -> str:
        """As it is told."""
        return f"{self._folder} over {self.source.name}"

    @property
    def repo(self) -> str:
        """Where it is published."""
        return repo_name(self.source, self.recipe, self.loader)

    def folder(self, work: Workspace) -> Path:
        """Where it is built."""
        return work.artifact(self.source.name, self._folder)

    def is_built(self, work: Workspace) -> bool:
        """Whether something lies there."""
        return (self.folder(work) / MANIFEST).is_file()

    def is_validated(self, work: Workspace) -> bool:
        """Whether the artifact, or the one it is a view of, is. Raises VoxbuildError if that is damaged."""
        folder = work.artifact(self.source.name, self.recipe.name)
        return (folder / MANIFEST).is_file() and Manifest.load(folder).validated

    def tag(self, said: str | None) -> str:
        """Its tag: what was said, or the recipe's, or the one of this version."""
        return said or tag_name(self.recipe)

    @property
    def _folder(self) -> str:
        return view_stages.view_name(self.recipe, self.loader) if self.loader else self.recipe.name


def candidates(book: Book, recipe: Recipe, source: str | None, named: bool) -> list[Candidate]:
    """A recipe's artifact with its views: if it was `named`, over one source, else over all."""
    over = [book.source(source or recipe.source)] if named or source else list(book.sources.values())
    return [Candidate(o, recipe, loader) for o, loader in product(over, [None, *views_of(recipe.dialects)])]
