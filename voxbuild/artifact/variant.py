"""A variant: a recipe over a source, perhaps as the view for a loader; its names, its folder, its views."""

import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from voxbuild import __version__
from voxbuild.errors import PublishError, RecipeError
from voxbuild.recipes.book import Book
from voxbuild.recipes.loaders import Loader, views_of
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import Source
from voxbuild.workspace import Workspace
from voxrun.files.paths import is_file

from .manifest import MANIFEST, Manifest


def repo_name(source: Source, recipe: Recipe, loader: Loader | None = None) -> str:
    """owner/name that the artifact is published under, or its view for a loader."""
    names = {"model": source.model, "recipe": recipe.name}
    repo = recipe.publish.repo.format(**names)
    return recipe.publish.view.format(repo=repo, dialect=loader.name, **names) if loader else repo


def tag_name(recipe: Recipe) -> str:
    """The tag it is published under, if no other is said."""
    return recipe.publish.tag or f"v{__version__}"


def view_name(recipe: Recipe, loader: Loader) -> str:
    """The folder of a view, beside the artifact's."""
    return f"{recipe.name}.{loader.name}"


def _facts(manifest: Manifest) -> tuple[Any, ...]:
    """What an artifact and its views have in common."""
    of = manifest.as_converted
    return of.variant, of.model, of.source, of.recipe, of.device, of.parameters, of.bits_per_weight


def check_current(work: Workspace, source: Source, recipe: Recipe, loader: Loader) -> Path:
    """The folder of a view that belongs to the artifact as it is now. Raises PublishError."""
    folder = work.artifact(source.name, view_name(recipe, loader))
    build = f"run `doit build recipe={recipe.name} source={source.name}`"
    if not folder.is_dir():
        raise PublishError(f"{folder}: the view is not built; {build}")
    origin, view = Manifest.load(work.artifact(source.name, recipe.name)), Manifest.load(folder)
    if (view.view or {}).get("artifact") != origin.weight_digest or _facts(view) != _facts(origin):
        raise PublishError(f"{folder}: a view of another build than the artifact's beside it; {build}")
    return folder


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
        return view_name(self.recipe, self.loader) if self.loader else self.recipe.name


def candidates(book: Book, recipe: Recipe, source: str | None, named: bool) -> list[Candidate]:
    """A recipe's artifact with its views: if it was `named`, over one source, else over all."""
    over = [book.source(source or recipe.source)] if named or source else list(book.sources.values())
    return [Candidate(o, recipe, loader) for o, loader in product(over, [None, *views_of(recipe.dialects)])]


def public_key_of(work: Workspace, recipe: Recipe) -> Path | None:
    """The public key that a recipe's artifacts are signed for, if it says one.

    Raises RecipeError if that is something else than a file: doit, which watches it, would wait for a pipe.
    """
    if recipe.sign is None:
        return None
    path = Path(os.path.normpath(work.recipes / recipe.sign.public_key))
    if os.path.lexists(path) and not is_file(path):
        raise RecipeError(f"{path}: no regular file, so no public key, which {recipe.name} says that it is")
    return path
