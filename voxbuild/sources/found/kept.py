"""Found sources as they are kept: a YAML file each in out/.sources/, and beside it how it was found."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from voxbuild.errors import SourceError
from voxbuild.files import read_state, write_json, write_text
from voxbuild.recipes.schema import Strict, load
from voxbuild.recipes.source import Source
from voxbuild.workspace import Workspace
from voxrun.messages import sentence

TRAINED_OVER = "trained over "
"""Begins the origin of an adapter, before the model that its configuration names."""
HEAD = """\
# Found by `{command}`, which writes this file anew.
# To keep it and to edit it, copy it to {folder}/.
"""

ONLY = "repo's recipe"
"""Among the choices: the one recipe that `repo` is for, if it has no {recipe} in it."""


@dataclass(frozen=True)
class Found:
    """A source that was found, and how."""

    source: Source
    asked: str
    """The absolute path, OWNER/NAME or source that was asked for."""
    adapter: str | None = None
    """The same of adapter=, if it was given."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """Key of the source -> where its value comes from: `card`, `command line` and others.

    Of `adapter`: over which model it was trained, as its configuration says.
    """
    faults: tuple[str, ...] = ()
    """What could not be read on the way, a phrase each."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """Variables of earlier commands that change the recipes over it: `repo`, `private`, `clips`; and ONLY."""

    def choices_for(self, recipe: str) -> dict[str, str]:
        """Those that hold for a recipe."""
        chosen = dict(self.choices)
        if chosen.pop(ONLY, recipe) != recipe:
            del chosen["repo"]
        return chosen

    @property
    def place_is_gone(self) -> bool:
        """Whether it was found in a folder that does not exist any more."""
        paths = (Path(key) for key in (self.asked, self.adapter) if key)
        return any(path.is_absolute() and not path.exists() for path in paths)

    @property
    def command(self) -> str:
        """The variables that find it."""
        return f"source={self.asked}" + (f" adapter={self.adapter}" if self.adapter else "")


def keep(work: Workspace, found: Found, names: Mapping[str, Source]) -> None:
    """Write a found source for later commands and other processes.

    `names` are the sources of recipes/sources/. Raises SourceError if the name is that of another source.
    """
    name = found.source.name
    for taken in names:
        if taken.casefold() == name.casefold():
            raise SourceError(
                f"{found.asked}: {work.recipes / 'sources' / taken}.yaml is a source of this name already;"
                " choose another with name="
            )
    for other in kept(work):
        same = (other.asked, other.adapter) == (found.asked, found.adapter)
        if other.source.name.casefold() == name.casefold() and not same and not other.place_is_gone:
            raise SourceError(
                f"{found.asked}: the source {other.source.name} is already that of {other.command};"
                " choose another with name="
            )
    _write(work, found)


def choose(work: Workspace, name: str, choices: Mapping[str, str]) -> None:
    """Keep these choices with a found source, for later commands."""
    found = kept_as(work, name)
    if found and dict(found.choices) != choices:
        _write(work, replace(found, choices=choices))


def _write(work: Workspace, found: Found) -> None:
    """Write how it was found, and its YAML, so that a copy of it is as private as the source."""
    names = ("asked", "adapter", "origins", "faults", "choices")
    write_json(_record(work, found.source.name), {name: getattr(found, name) for name in names})
    head = HEAD.format(command=sentence(f"doit plan {found.command}"), folder="recipes/sources")
    chosen = {name: value for name, value in found.choices.items() if name != ONLY}
    private = chosen.pop("private", None) == "yes" or found.source.private
    if chosen:
        said = " ".join(f"{name}={value}" for name, value in chosen.items())
        head += sentence(f"# What was chosen for it besides belongs into a recipe: {said}") + "\n"
    source = found.source.model_copy(update={"private": private})
    write_section(work.found / f"{found.source.name}.yaml", source, head)


def write_section(path: Path, section: Strict, head: str) -> None:
    """Write a YAML file, unless it already says the same: tasks depend on it."""
    content = section.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    text = head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def kept(work: Workspace) -> Iterator[Found]:
    """All found sources. Raises RecipeError for a YAML file that is not valid."""
    for path in sorted(work.found.glob("*.yaml")):
        yield _found(work, path)


def kept_as(work: Workspace, name: str) -> Found | None:
    """The found source of this name."""
    path = work.found / f"{name}.yaml"
    return _found(work, path) if path.is_file() else None


def kept_for(work: Workspace, asked: str, adapter: str | None, name: str | None) -> Found | None:
    """What was found there before, under this name or (None) any.

    Raises SourceError if there are several.
    """
    there = [each for each in kept(work) if (each.asked, each.adapter) == (asked, adapter)]
    there = [each for each in there if name in (None, each.source.name)]
    if len(there) > 1:
        names = ", ".join(each.source.name for each in there)
        raise SourceError(f"{asked}: it is known by several names, {names}; choose one with name=")
    return there[0] if there else None


def _found(work: Workspace, path: Path) -> Found:
    source = load(path, Source)
    how: dict[str, Any] = read_state(_record(work, path.stem)) or {"asked": str(path)}
    return Found(
        source,
        how["asked"],
        how.get("adapter"),
        how.get("origins", {}),
        tuple(how.get("faults", ())),
        how.get("choices", {}),
    )


def _record(work: Workspace, name: str) -> Path:
    return work.found / f"{name}.json"
