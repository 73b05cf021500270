"""What a model card is about."""

import base64
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import repo_name
from voxbuild.errors import RecipeError
from voxbuild.recipes.loaders import Loader
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import ClipSet, Source
from voxrun.files.paths import read_bytes

MAX_PEM = 2**16
"""Bytes of a file with a public key; one has some 200."""
PEM = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"


@dataclass(frozen=True)
class Subject:
    """An artifact, or its view for a `loader`, with all that can be said about it."""

    source: Source
    recipe: Recipe
    recipe_text: str
    """The recipe's YAML, as it was written."""
    clips: Mapping[str, ClipSet]
    """Those that validated it."""
    manifest: Manifest
    validation: Mapping[str, Any]
    loader: Loader | None = None
    fingerprint: str | None = None
    """Of the key that will sign it, if one will: see `fingerprint`."""

    @property
    def repo(self) -> str:
        """owner/name that it is published under."""
        return repo_name(self.source, self.recipe, self.loader)


def fingerprint(public_key: Path) -> str:
    """sha256 of a PEM public key, as `openssl pkey -pubin -in FILE | openssl sha256` gives it.

    Raises RecipeError if that is no such file.
    """
    try:
        _, start, rest = read_bytes(public_key, MAX_PEM).decode("ascii").partition(PEM[0])
        body, end, _ = rest.partition(PEM[1])
        if not start or not end:
            raise ValueError("it holds none")
        text = base64.b64encode(base64.b64decode("".join(body.split()), validate=True)).decode()
    except (OSError, ValueError) as error:
        raise RecipeError(f"{public_key}: no readable PEM file of a public key ({error})") from error
    return sha256("\n".join([PEM[0], *textwrap.wrap(text, 64), PEM[1], ""]).encode()).hexdigest()
