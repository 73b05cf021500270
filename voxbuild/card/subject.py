"""The subject of a model card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxbuild.artifact.manifest import Manifest
from voxbuild.artifact.variant import Variant
from voxbuild.recipes.source import ClipSet


@dataclass(frozen=True)
class Subject:
    """A variant and its measurements."""

    variant: Variant
    manifest: Manifest
    validation: Mapping[str, Any]
    fingerprint: str | None = None
    """Of the public key that it is signed for, if there is one: `signature.fingerprint_of`."""
    evaluation: Mapping[str, Any] | None = None
    """What is known of its weights at other delays: see `artifact.evaluated`."""

    @property
    def clips(self) -> dict[str, ClipSet]:
        """The clip sets of its validation."""
        return {name: self.variant.book.clips[name] for name in self.validation["sets"]}
