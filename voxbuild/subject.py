"""What a model card is about."""

import base64
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from voxbuild.recipes.loaders import Loader
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.source import ClipSet, Source
from voxrun.files.paths import is_file, read_bytes

from .errors import RecipeError
from .manifest import Manifest
from .naming import repo_name
from .workspace import Workspace

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
