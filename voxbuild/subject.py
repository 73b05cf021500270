"""What a model card is about."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from .errors import RecipeError
from .loaders import Loader
from .manifest import Manifest
from .naming import repo_name, tag_name
from .recipe import ClipSet, Recipe, Source


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

    @property
    def tag(self) -> str:
        """The tag that it is published under."""
        return tag_name(self.recipe)


def fingerprint(public_key: Path) -> str:
    """sha256 of a PEM public key's DER, as `openssl pkey -pubin -outform DER | openssl sha256` gives it.

    Raises RecipeError if that is no such file.
    """
    try:
        lines = public_key.read_text(encoding="ascii").split()
        start, end = lines.index("-----BEGIN"), lines.index("-----END")
        if lines[start : start + 3] != ["-----BEGIN", "PUBLIC", "KEY-----"]:
            raise ValueError("it holds no public key")
        return sha256(base64.b64decode("".join(lines[start + 3 : end]), validate=True)).hexdigest()
    except (OSError, ValueError, binascii.Error) as error:
        raise RecipeError(f"{public_key}: no readable PEM file of a public key ({error})") from error
