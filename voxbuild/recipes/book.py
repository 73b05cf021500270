"""All recipes, sources and clip sets of a project, and how they refer to each other."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from voxbuild.errors import RecipeError

from .hub_terms import check_repo
from .recipe import Recipe
from .schema import Section, known_names, load_folder, place
from .source import ClipSet, Source

PLACES: Any = {"path": True, "folder": True, "adapter": {"path"}}
"""The keys of sources and clip sets that say where local files are."""


@dataclass(frozen=True)
class Book:
    """All recipes, sources and clip sets of a project."""

    recipes: dict[str, Recipe]
    sources: dict[str, Source]
    clips: dict[str, ClipSet]
    found: frozenset[str] = frozenset()
    """The sources that are not in recipes/sources/: out/.sources/ has them."""

    def recipe(self, name: str) -> Recipe:
        """The recipe of this name. Raises RecipeError, which lists the known ones."""
        return _named("recipe", name, self.recipes)

    def source(self, name: str) -> Source:
        """The source of this name. Raises RecipeError, which lists the known ones."""
        return _named("source", name, self.sources)

    @property
    def own_sources(self) -> list[Source]:
        """The sources of recipes/sources/."""
        return [source for source in self.sources.values() if source.name not in self.found]

    @staticmethod
    def repo(source: Source, recipe: Recipe, dialect: str | None = None) -> str:
        """OWNER/NAME to which a recipe's artifact over a source is published, or its view for a dialect.

        Raises ValueError if the Hub would not accept the name.
        """
        names = {"model": source.model, "recipe": recipe.name}
        repo = recipe.publish.repo.format(**names)
        if dialect:
            repo = recipe.publish.view.format(repo=repo, dialect=dialect, **names)
        return check_repo(repo)

    @staticmethod
    def private(source: Source, recipe: Recipe) -> bool:
        """Whether what a recipe makes of a source must not be public: as the recipe says, else the source."""
        said = recipe.publish.private
        return source.private if said is None else said

    def digest(self, source: Source, recipe: Recipe) -> str:
        """One sha256 over `contents`."""
        text = json.dumps(self.contents(source, recipe), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def contents(self, source: Source, recipe: Recipe) -> dict[str, Any]:
        """All keys of a recipe, a source and their clip sets: kind and name -> key -> value, as in YAML.

        Paths of local folders are left out: their files are identified by hashes, wherever they are.
        """
        sets = self.clip_sets(source, recipe)
        if recipe.calibrate:
            sets = sets | {recipe.calibrate: self.clips[recipe.calibrate]}
        sections = {f"recipe {recipe.name}": recipe, f"source {source.name}": source}
        sections |= {f"clips {name}": clip_set for name, clip_set in sets.items()}
        return {
            name: section.model_dump(mode="json", by_alias=True, exclude=PLACES)
            for name, section in sections.items()
        }

    def heard_twice(self, source: Source, recipe: Recipe) -> str | None:
        """The clip set that validates and may have recordings of the one that calibrates."""
        if recipe.calibrate is None:
            return None
        heard = self.clips[recipe.calibrate].corpus
        sets = {name: clips.corpus for name, clips in self.clip_sets(source, recipe).items()}
        shared = (n for n, corpus in sets.items() if corpus.may_share(heard) or heard.may_share(corpus))
        return next(shared, None)

    def clip_sets(self, source: Source, recipe: Recipe) -> dict[str, ClipSet]:
        """The clip sets by name that validate a recipe over a source."""
        return {name: self.clips[name] for name in (*recipe.validation.clips, *source.clips)}


@cache
def read_book(folder: Path) -> Book:
    """Read recipes/, recipes/sources/ and recipes/clips/, once a process. Raises RecipeError."""
    book = Book(
        recipes=load_folder(folder, Recipe),
        sources=load_folder(folder / "sources", Source),
        clips=load_folder(folder / "clips", ClipSet),
    )
    for source in book.sources.values():
        _check_clips(book, source.clips, folder / "sources" / f"{source.name}.yaml", "clips")
    for recipe in book.recipes.values():
        path = folder / f"{recipe.name}.yaml"
        if recipe.source not in book.sources:
            where = place(path, "source")
            raise RecipeError(f"{where}: unknown source {recipe.source}; {known_names(book.sources)}")
        _check_clips(book, recipe.validation.clips, path, "validate", "clips")
        _check_repos(book, recipe, path)
        if recipe.calibrate:
            _check_calibration(book, recipe, recipe.calibrate, path)
    return book


def with_found(book: Book, folder: Path) -> Book:
    """The book with the sources and clip sets that were found before and are kept in `folder`.

    One of the same name in recipes/ counts instead. Raises RecipeError.
    """
    sources, clips = _kept(folder, Source), _kept(folder / "clips", ClipSet)
    both = Book(
        book.recipes,
        sources | book.sources,
        clips | book.clips,
        frozenset(sources.keys() - book.sources.keys()),
    )
    for name in both.found:
        _check_clips(both, sources[name].clips, folder / f"{name}.yaml", "clips")
    return both


def _kept(folder: Path, kind: type[Section]) -> dict[str, Section]:
    return load_folder(folder, kind) if folder.is_dir() else {}


def _check_calibration(book: Book, recipe: Recipe, calibrate: str, path: Path) -> None:
    """Raises RecipeError if a clip set that validates holds recordings that calibrate."""
    if calibrate not in book.clips:
        where = place(path, "calibrate")
        raise RecipeError(f"{where}: unknown clip set {calibrate}; {known_names(book.clips)}")
    for source in book.sources.values():
        if name := book.heard_twice(source, recipe):
            raise RecipeError(
                f"{place(path, 'calibrate')}: {calibrate} cannot calibrate what {name} validates"
                f" (over {source.name}): they are the same recordings"
            )


def _check_repos(book: Book, recipe: Recipe, path: Path) -> None:
    """Raises RecipeError if the Hub would not accept the name of a repository."""
    for dialect in (None, *recipe.dialects):
        try:
            book.repo(book.source(recipe.source), recipe, dialect)
        except ValueError as error:
            where = place(
                path, "publish", "view" if dialect and "view" in recipe.publish.model_fields_set else "repo"
            )
            raise RecipeError(f"{where}: {error}") from error


def _check_clips(book: Book, names: Iterable[str], path: Path, *keys: str) -> None:
    for number, name in enumerate(names):
        if name not in book.clips:
            where = place(path, *keys, number)
            raise RecipeError(f"{where}: unknown clip set {name}; {known_names(book.clips)}")


def _named(kind: str, name: str, known: dict[str, Section]) -> Section:
    if name not in known:
        raise RecipeError(f"there is no {kind} {name}; {known_names(known)}")
    return known[name]
