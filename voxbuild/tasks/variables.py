"""The variables NAME=VALUE of the command line that name a place, or change sources and recipes.

`settle` finds what they name, once, in the process that was started, and keeps it in out/.sources/. `changed`
applies them to the book, also in doit's worker processes.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pydantic
from doit import get_var

from voxbuild.artifact.variant import Variant
from voxbuild.errors import RecipeError
from voxbuild.recipes.book import Book, read_book, with_found
from voxbuild.recipes.origins.folder import LocalFolder
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.schema import known_names
from voxbuild.recipes.source import Source
from voxbuild.sources.found import kept
from voxbuild.sources.found.place import absolute, is_path
from voxbuild.sources.found.reference import Reference, refer
from voxbuild.sources.found.values import VARIABLES as DESCRIBING
from voxbuild.workspace import Workspace
from voxrun.messages import sentence

from .later import Later

if TYPE_CHECKING:
    from voxbuild.sources.found import clips as found_clips
    from voxbuild.sources.found import find
else:
    find, found_clips = Later("voxbuild.sources.found.find"), Later("voxbuild.sources.found.clips")

OF_SOURCES = ("name", *DESCRIBING)
"""They describe a found source, and are kept with it."""
OF_RECIPES = ("repo", "private", "clips")
"""They change the recipes of this command; with a found source they are kept, but for private=no."""
VARIABLES = ("recipe", "source", "adapter", *OF_SOURCES, *OF_RECIPES)
YES_NO = {"yes": True, "no": False}
Variables = tuple[tuple[str, str], ...]


def given() -> Variables:
    """These variables on the command line. A spawned worker has the arguments, but not doit's variables."""
    found = {name: get_var(name) for name in VARIABLES}
    if not any(found.values()):
        words = (word.partition("=") for word in sys.argv[1:] if not word.startswith("-"))
        found = {name: value for name, sign, value in words if sign and name in VARIABLES}
    return tuple((name, value) for name, value in found.items() if value is not None)


def known(work: Workspace) -> Book:
    """All recipes, sources and clip sets, before the command line changes any. Raises RecipeError."""
    return with_found(read_book(work.recipes), work.found)


@cache
def settle(work: Workspace, variables: Variables, keep: bool = True) -> str | None:
    """Find and keep what is named by its place; return the name of the source, None without `source=`.

    `keep`: what a found source is published as and validated with holds for later commands, too.
    Raises RecipeError, SourceError, CheckpointError; voxrun's ConfigError.
    """
    values = dict(variables)
    if empty := next((name for name, value in values.items() if not value), None):
        raise RecipeError(f"{empty}= has no value")
    name = _settle_source(work, values)
    languages = known(work).source(name).languages if name else ()
    language = languages[0] if len(languages) == 1 else None
    for clips in _clips(values):
        if clips not in known(work).clips:
            if not is_path(clips):
                raise RecipeError(
                    f"clips={clips}: no such clip set and no such folder; {known_names(known(work).clips)}"
                )
            found_clips.find_clips(work, clips, language, known(work).clips)
    if name:
        book = _changed_book(work, variables)  # an error now: a wrong value is not kept
        for recipe in _recipes(book, values):
            Variant(work, book, book.source(name), book.recipe(recipe)).check_names()
        if keep:
            _keep_choices(work, name, values)
    return name


def _keep_choices(work: Workspace, name: str, values: Mapping[str, str]) -> None:
    """Keep what a found source is published as and validated with: the same for build, publish and verify."""
    found = kept.kept_as(work, name)
    if found is None or name in read_book(work.recipes).sources:
        return
    given = {each: values[each] for each in OF_RECIPES if each in values}
    if given.get("private") == "no":  # to publish a private source publicly, ask each time
        del given["private"]
    chosen = dict(found.choices) | given
    if "repo" in given:
        chosen.pop(kept.ONLY, None)
        if "{recipe}" not in given["repo"]:
            chosen[kept.ONLY] = _recipes(known(work), values)[0]
    if clips := _clips(values):
        chosen["clips"] = ",".join(str(absolute(each)) if is_path(each) else each for each in clips)
    kept.choose(work, name, chosen)


def _named(work: Workspace, book: Book, values: Mapping[str, str]) -> kept.Found | None:
    """The found source that is named, or that was found where source= and adapter= say."""
    text = _source_text(book, values)
    if text is None:
        return None
    place = refer(text, book.sources)
    adapter = refer(values["adapter"], {}, "adapter").key if "adapter" in values else None
    for found in kept.kept(work):
        there = (found.asked, found.adapter) == (place.key, adapter)
        named = found.source.name == text and adapter is None
        if named or (there and values.get("name") in (None, found.source.name)):
            return found
    return None


@cache
def changed(work: Workspace, variables: Variables) -> Book:
    """All recipes, sources and clip sets as the command line changes them. Raises RecipeError."""
    return _changed_book(work, variables)


def _changed_book(work: Workspace, variables: Variables) -> Book:
    book, given = known(work), dict(variables)
    recipes, found = _recipes(book, given), _named(work, book, given)
    if "repo" in given and len(recipes) > 1 and "{recipe}" not in given["repo"]:
        raise RecipeError(f"repo={given['repo']}: {len(recipes)} recipes need {{recipe}} in it")
    values = {n: {**(found.choices_for(n) if found else {}), **given} for n in book.recipes}
    clips = given.get("clips") or (found.choices.get("clips") if found else None)
    sets = [_clip_set(work, book, each) for each in _clips({"clips": clips or ""})]
    book = replace(book, recipes={n: _changed(r, values[n], sets) for n, r in book.recipes.items()})
    if sets:
        sources = {n: s.model_copy(update={"clips": ()}) for n, s in book.sources.items()}
        book = replace(book, sources=sources)
        for recipe in (book.recipes[name] for name in recipes if name in book.recipes):
            if name := book.heard_twice(book.sources[recipe.source], recipe):
                raise RecipeError(f"clips={clips}: {name} calibrates {recipe.name}, so it cannot validate it")
    return book


def _settle_source(work: Workspace, values: Mapping[str, str]) -> str | None:
    book, project = known(work), read_book(work.recipes).sources
    facts = {name: _fact(name, values[name]) for name in OF_SOURCES if name in values}
    text = _source_text(book, values)
    if text is None:
        if facts:
            raise RecipeError(
                f"{next(iter(facts))}= belongs to a source that source=PATH or OWNER/NAME finds"
            )
        return None
    source = refer(text, book.sources)
    if "adapter" in values:
        adapter = refer(values["adapter"], {}, "adapter")
        return find.find(work, source, adapter, facts, book.sources, project).source.name
    if "name" not in facts and (name := _defined_at(work, source)):
        if facts:
            _override(work, name, facts)
        return name
    if source.kind != "source":
        return find.find(work, source, None, facts, book.sources, project).source.name
    if facts:
        _override(work, source.key, facts)
    return source.key


def _override(work: Workspace, name: str, facts: Mapping[str, Any]) -> None:
    """Change what is kept of a found source. Raises RecipeError if it cannot be changed from here."""
    project, first = read_book(work.recipes).sources, next(iter(facts))
    found = None if name in project else kept.kept_as(work, name)
    if found is None:
        raise RecipeError(f"{first}= cannot change this source; edit {work.recipes / 'sources' / name}.yaml")
    if "name" in facts:
        raise RecipeError(f"name= names what is found anew; give its place: {found.command}")
    find.overridden(work, found, facts, project)


def _source_text(book: Book, values: Mapping[str, str]) -> str | None:
    """What source= says; without it, an adapter belongs to the recipes' source."""
    return values.get("source") or (_only_source(book, values) if "adapter" in values else None)


def _recipes(book: Book, values: Mapping[str, str]) -> list[str]:
    """The names of the recipes that recipe= selects; without it, all."""
    return [name for name in values.get("recipe", "").split(",") if name] or list(book.recipes)


def _only_source(book: Book, values: Mapping[str, str]) -> str:
    """The source of the chosen recipes, to which an adapter without source= belongs."""
    sources = {book.recipe(name).source for name in _recipes(book, values)}
    if len(sources) > 1:
        raise RecipeError(f"adapter={values['adapter']}: name the model to which it belongs with source=")
    return sources.pop()


def _defined_at(work: Workspace, source: Reference) -> str | None:
    """The source of recipes/sources/ that describes this place."""
    sources = read_book(work.recipes).sources
    return next((name for name, each in sources.items() if _is_at(work, each, source)), None)


def _is_at(work: Workspace, source: Source, place: Reference) -> bool:
    """Whether a source of recipes/sources/ is in this folder or repository."""
    if source.adapter:
        return False
    folder = source.origin.folder(work.recipes / "sources")
    if folder or place.kind == "folder":
        return place.kind == "folder" and folder == LocalFolder(place.key).folder(work.root)
    pinned = source.origin.identity
    return pinned.get("repo") == place.key and place.revision in (None, pinned.get("revision"))


def _fact(name: str, value: str) -> Any:
    """A variable's value as in a source's YAML."""
    return [code.strip() for code in value.split(",") if code.strip()] if name == "languages" else value


def _clips(values: Mapping[str, str]) -> list[str]:
    return [name for name in values.get("clips", "").split(",") if name]


def _clip_set(work: Workspace, book: Book, text: str) -> str:
    """The name of a clip set that is named, or given by its folder."""
    there = None if text in book.clips else found_clips.clip_set_in(work, absolute(text), book.clips)
    if text not in book.clips and there is None:
        raise RecipeError(f"clips={text}: no such clip set; {known_names(book.clips)}")
    return there.name if there else text


def _changed(recipe: Recipe, values: Mapping[str, str], sets: list[str]) -> Recipe:
    """A recipe with the command line's repository, visibility and clips. Raises RecipeError."""
    content = recipe.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if "repo" in values:
        content["publish"]["repo"] = values["repo"]
        content["publish"].pop("view", None)  # it may be another owner's
    if "private" in values:
        if values["private"] not in YES_NO:
            raise RecipeError(f"private={values['private']}: say private=yes or private=no")
        content["publish"]["private"] = YES_NO[values["private"]]
    if sets:
        content["validate"]["clips"] = sets
    try:
        return Recipe.model_validate_json(json.dumps(content))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        problem = first["msg"].removeprefix("Value error, ")
        if wrong := next((name for name in OF_RECIPES if name in values and name in first["loc"]), None):
            raise RecipeError(sentence(f"{wrong}={values[wrong]}: {problem}")) from error
        said = " ".join(f"{name}={values[name]}" for name in OF_RECIPES if name in values)
        raise RecipeError(sentence(f"{said}: {problem} (recipe {recipe.name})")) from error
