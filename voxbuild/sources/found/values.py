"""A source from the values that were found and those that the command line gives."""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pydantic

from voxbuild.errors import SourceError
from voxbuild.recipes.hub_terms import OTHER
from voxbuild.recipes.source import Source
from voxrun.messages import sentence

from .kept import Found
from .told import Told, phrase

BY_HAND = "command line"
VARIABLES = ("license", "license_name", "license_link", "base_model", "languages")
"""Keys of a found source that the command line may give; `name` is another."""
OWN_LICENSE = ("license_name", "license_link")
RESERVED = ("registry",)
"""Folders of out/ that no source can have, in any case of letters."""
LONGEST_NAME = 60


def validated(key: str, values: dict[str, Any], told: Told) -> Source:
    """The source; what it was told and is not valid is left out, unless the command line gave it."""
    while True:
        facts = {"license": "unknown", "languages": (), **told.values}
        summary = _summary(values, facts)
        try:
            return Source.model_validate_json(json.dumps(values | facts | {"summary": summary}))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            cause = first.get("ctx", {}).get("error")
            name = str(next(iter((*first["loc"], *getattr(cause, "where", ()))), ""))
            problem = first["msg"].removeprefix("Value error, ")
            given = told.origins.get(name) == BY_HAND
            if given or name not in told.values:
                where = f"{name}={_written(facts[name])}" if given else f"{key}: {name}".removesuffix(": ")
                raise SourceError(sentence(f"{where}: {problem}")) from error
            told.faults.append(phrase(f"{name} (from {told.origins[name]})", told.values[name], problem))
            told.forget(name)


def _written(value: Any) -> str:
    """A value as the command line gives it."""
    return value if isinstance(value, str) else ",".join(value)


def _summary(values: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    base = facts.get("base_model")
    adapted = ", with a LoRA adapter merged" if values.get("adapter") else ""
    about = f"a fine-tune of {base}" if base else "a model of the architecture of Voxtral Realtime"
    return f"{values['name']}, {about}{adapted}."


def settled(found: Found, given: Mapping[str, Any], before: Found | None) -> Found:
    """A found source with the command line's values, else those that an earlier command line gave."""
    values = found.source.model_dump(mode="json", exclude_defaults=True)
    told = Told(origins=dict(found.origins), faults=list(found.faults))
    told.values = {name: values.pop(name) for name in VARIABLES if name in values and name in told.origins}
    earlier = before.source.model_dump(mode="json") if before else {}
    by_hand = {n: earlier[n] for n, o in (before.origins if before else {}).items() if o == BY_HAND}
    chosen = {**by_hand, **given}
    for name in OWN_LICENSE:
        if "license" in given and name not in given:  # they belong to the licence that was given before
            chosen.pop(name, None)
        if "license" in chosen and name in told.values:  # these, to that of the card
            told.forget(name)
    if name := chosen.pop("name", before.source.name if before else None):
        values |= {"name": name, "model": name}
        told.origins["name"] = BY_HAND if "name" in {**by_hand, **given} else told.origins["name"]
        if name != valid_name(name):
            raise SourceError(f"name={name}: not a valid name; for example name={valid_name(name)}")
    for name, value in chosen.items():
        told.values[name], told.origins[name] = value, BY_HAND
    source = validated(found.asked, values, told)
    if source.license != OTHER and (own := next((n for n in OWN_LICENSE if n in given), None)):
        raise SourceError(f"{own}= belongs to license=other, and the licence is {source.license}")
    return replace(found, source=source, origins=told.origins, faults=tuple(told.faults))


def valid_name(text: str) -> str:
    """A name for a folder and a repository: ASCII letters, digits, dots, dashes and underscores."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[-.]*[^A-Za-z0-9._-]+[-.]*|-{2,}|\.{2,}", "-", plain)[:LONGEST_NAME].strip("-._")
    return f"{name or 'model'}-model" if not name or name.casefold() in RESERVED else name
