"""What `doit plan` says of a found source: each fact, where it comes from, and what is missing."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxbuild.console import markdown
from voxbuild.recipes.book import Book
from voxbuild.recipes.hub_terms import UNKNOWN
from voxbuild.recipes.recipe import SHIPPED_OWNERS, Recipe
from voxbuild.recipes.source import Source
from voxbuild.sources.found.kept import TRAINED_OVER, Found, kept_as
from voxbuild.sources.found.place import is_repo
from voxbuild.sources.found.values import BY_HAND
from voxbuild.sources.header import Header
from voxbuild.tensors.naming import naming_of
from voxbuild.workspace import Workspace

EARLIER = "an earlier command line"
Fact = tuple[str, str]
"""A value for people, and where it comes from."""
NONE = "none"


def found_source(work: Workspace, source: Source) -> Found | None:
    """How a source was found; None if it is one of recipes/sources/."""
    written = (work.recipes / "sources" / f"{source.name}.yaml").is_file()
    return None if written else kept_as(work, source.name)


def finding(found: Found, recipe: Recipe, header: Header, given: Mapping[str, str]) -> dict[str, Any]:
    """JSON: facts (name -> value, from), missing, doubts and faults (a sentence each).

    `given` are the variables on the command line.
    """
    facts = {**_facts(found, header, given), **_choices(found, recipe, given)}
    return {
        "facts": {name: {"value": value, "from": origin} for name, (value, origin) in facts.items()},
        "missing": list(_missing(found.source, recipe, {**found.choices_for(recipe.name), **given})),
        "doubts": list(_doubts(found)),
        "faults": list(found.faults),
    }


def finding_text(shown: Mapping[str, Any]) -> str:
    """The same for people."""
    rows = [(name, fact["value"], fact["from"]) for name, fact in shown["facts"].items()]
    lines = [f"missing: {line}" for line in shown["missing"]]
    lines += [f"to check: {line}" for line in shown["doubts"]]
    lines += [f"not read: {line}" for line in shown["faults"]]
    return "\n".join([markdown(rows, ["found", "", "from"]), *([""] if lines else []), *lines])


def _facts(found: Found, header: Header, given: Mapping[str, str]) -> dict[str, Fact]:
    def origin(variable: str, default: str = "default") -> str:
        told = found.origins.get(variable, default)
        return EARLIER if told == BY_HAND and variable not in given else told

    source, files = found.source, len(found.source.weight_files)
    dialect = naming_of(tensor.name for tensor in header.tensors).dialect.name
    count = f"{files} file{'s' if files > 1 else ''}"
    facts = {
        "weights": (f"{count}, {header.nbytes:,} bytes, named as by {dialect}", _place(source)),
        "name": (source.name, origin("name", "the kept source")),
        "licence": (source.license, origin("license")),
        "languages": (", ".join(source.languages) or NONE, origin("languages")),
        "base model": (source.base_model or UNKNOWN, origin("base_model")),
    }
    for key, label in (("license_name", "licence's name"), ("license_link", "licence's link")):
        if value := getattr(source, key):
            facts[label] = (value, origin(key))
    if source.adapter:
        place = found.adapter or found.asked
        if over := found.origins.get("adapter"):
            place += f", {over}"
        facts["adapter"] = (place, BY_HAND if found.adapter else "adapter_config.json")
    return facts


def _place(source: Source) -> str:
    pinned = source.origin.identity
    return f"{pinned['repo']} at {pinned['revision'][:12]}" if pinned else str(source.origin.folder(Path()))


def _choices(found: Found, recipe: Recipe, given: Mapping[str, str]) -> dict[str, Fact]:
    """What the recipe says, unless this or an earlier command line says something else."""
    source, earlier = found.source, found.choices_for(recipe.name)

    def origin(variable: str) -> str:
        if variable in given:
            return BY_HAND
        return EARLIER if variable in earlier else f"recipe {recipe.name}"

    inherited = source.private and recipe.publish.private is None
    repo = recipe.publish.repo.format(model=source.model, recipe=recipe.name)
    return {
        "clips": (", ".join((*recipe.validation.clips, *source.clips)), origin("clips")),
        "repository": (repo, origin("repo")),
        "visibility": (
            "private" if Book.private(source, recipe) else "public",
            "the source is private" if inherited else origin("private"),
        ),
    }


def _doubts(found: Found) -> Iterator[str]:
    """Whether an adapter is merged into another model than the one that it was trained over."""
    base = found.source.origin.base_model
    over = found.origins.get("adapter", "").removeprefix(TRAINED_OVER)
    if found.source.adapter and base and is_repo(over) and over != base:
        yield (
            f"the adapter was trained over {over}, and would be merged into {base}; to merge it into its own"
            f" model: source={over}"
        )


def _missing(source: Source, recipe: Recipe, given: Mapping[str, str]) -> Iterator[str]:
    """What nobody told, and the variable that tells it."""
    if source.license == UNKNOWN:
        yield "the licence; give it: license=ID, such as license=apache-2.0"
    if not source.languages:
        yield "the languages; give them: languages=en,de"
    if source.base_model is None:
        yield "the model it was fine-tuned from; give it: base_model=OWNER/NAME"
    if "clips" not in given:
        yield (
            f"recordings of your own, so {', '.join(recipe.validation.clips)} will validate it; give them:"
            " clips=FOLDER (with a transcripts.tsv)"
        )
    owner = recipe.publish.repo.partition("/")[0]
    if owner in SHIPPED_OWNERS:
        yield f"your name, so it would be published by {owner}; give it: repo=ME/{{model}}-{{recipe}}"
