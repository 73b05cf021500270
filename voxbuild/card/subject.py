"""What a model card is about."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.recipes.source import ClipSet


@dataclass(frozen=True)
class Subject:
    """A variant and what was measured of it."""

    variant: Variant
    manifest: Manifest
    validation: Mapping[str, Any]
    fingerprint: str | None = None
    """Of the public key that it is signed for, if there is one: see `signature.fingerprint_of`."""

    @property
    def recipe_text(self) -> str:
        """The recipe's YAML file. Raises OSError."""
        path = self.variant.work.recipes / f"{self.variant.recipe.name}.yaml"
        return path.read_text(encoding="utf-8")

    @property
    def clips(self) -> dict[str, ClipSet]:
        """The clip sets that validated it."""
        return {name: self.variant.book.clips[name] for name in self.validation["sets"]}
