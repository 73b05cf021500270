"""What a folder or a repository says of itself: the card's front matter, and the files of its trainer."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from voxbuild.errors import SourceError
from voxbuild.recipes.origins.hub import HUB, HubFiles
from voxbuild.recipes.schema import UNREADABLE, parse_yaml
from voxrun.checkpoint.layout import CONFIG
from voxrun.messages import sentence, shown

from .files import ADAPTER_CONFIG
from .place import Place, is_repo

CARD = "README.md"
FRONT_MATTER = re.compile(r"\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
"""The YAML at the head of a card, between two lines of dashes."""
LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]+)*")


@dataclass
class Told:
    """Facts and where each comes from; of two, the one that is told first counts."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    """What could not be read, a phrase each."""

    def tell(self, origin: str, **values: Any) -> None:
        """Add facts; None and empty ones are none."""
        for name, value in values.items():
            if value and name not in self.values:
                self.values[name], self.origins[name] = value, origin

    def forget(self, name: str) -> None:
        """Take a fact back."""
        del self.values[name], self.origins[name]


def read_told(place: Place, told: Told) -> None:
    """Add what a place says of itself. A file that cannot be read is a fault, not an error."""
    card = read_front_matter(place, told.faults)
    named = card.get("base_model")
    base_models = named if isinstance(named, list) else [named]
    found = next((each for each in base_models if isinstance(each, str) and is_repo(each)), None)
    told.tell(
        "card",
        base_model=found,
        languages=tuple(_languages(card.get("language"))),
        license=_license(card.get("license")),
        license_name=_text(card.get("license_name")),
        license_link=_link(place, card.get("license_link")),
    )
    for name, key in ((ADAPTER_CONFIG, "base_model_name_or_path"), (CONFIG, "_name_or_path")):
        base = _json(place, name, told.faults).get(key)
        if isinstance(base, str) and is_repo(base) and not os.path.lexists(base):
            told.tell(name, base_model=base)


def read_front_matter(place: Place, faults: list[str]) -> dict[str, Any]:
    """The card's front matter; empty if there is none, with a fault if it cannot be read."""
    if CARD not in place.files:
        return {}
    try:
        front = FRONT_MATTER.match(place.text(CARD))
        values = parse_yaml(front[1]) if front else {}
        if values is not None and not isinstance(values, dict):
            raise TypeError(f"it holds no keys, but {shown(values)}")
        return values or {}
    except (yaml.YAMLError, SourceError, *UNREADABLE) as error:
        faults.append(sentence(f"{CARD}: its front matter cannot be read ({error})"))
        return {}


def _json(place: Place, name: str, faults: list[str]) -> dict[str, Any]:
    try:
        return place.json(name)
    except SourceError as error:
        faults.append(str(error))
        return {}


def _languages(value: Any) -> Iterator[str]:
    """The codes; `no` in YAML 1.1 is false, and means Norwegian."""
    for each in value if isinstance(value, list) else [value]:
        code = "no" if each is False else each
        if isinstance(code, str) and LANGUAGE.fullmatch(code):
            yield code


def _license(value: Any) -> str | None:
    first = value[0] if isinstance(value, list) and value else value
    text = _text(first)
    return text and text.lower()


def _text(value: Any) -> str | None:
    return value.strip() if isinstance(value, str) and value.strip().isprintable() else None


def _link(place: Place, value: Any) -> str | None:
    """A licence's URL; a file of a repository on the Hub becomes one, as it is not among the artifact's."""
    link = _text(value)
    if link and place.has(link) and isinstance(place.origin, HubFiles):
        return f"{HUB}/{place.key}/blob/{place.origin.revision}/{link}"
    return link


def phrase(name: str, value: Any, error: str) -> str:
    """A fault: a fact that was told, but cannot be used."""
    return f"{name} {shown(value)} is not used: {error}"
