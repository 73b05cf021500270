"""Publishing: what is validated as exactly these bytes, to a target that takes it whole or not at all."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .errors import PublishError
from .manifest import MANIFEST, VALIDATION, Manifest
from .workspace import read_json

TAG = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class Release:
    """An artifact ready to go: its folder, files and names. Make it with `prepare`."""

    folder: Path
    repo: str
    tag: str
    files: tuple[str, ...]
    """Paths relative to the folder; the manifest is the last."""


class PublishTarget(Protocol):
    """Somewhere releases go. A new target is one more class with these two methods."""

    def published(self, release: Release) -> bool:
        """Whether this very release is there under its tag. Raises PublishError if the tag holds another."""

    def publish(self, release: Release) -> str:
        """Put it there whole; return where it can be found. Raises PublishError."""


def tag_is_taken(release: Release) -> PublishError:
    """What a target raises when the tag holds another artifact."""
    return PublishError(
        f"{release.repo}: the tag {release.tag} holds another artifact; published tags never change:"
        " choose another with tag=NAME, or publish.tag in the recipe"
    )


def prepare(folder: Path, recipe_digest: str, repo: str, tag: str) -> Release:
    """Check that an artifact was validated as exactly the bytes that lie there, by the recipe as it is now.

    Raises PublishError.
    """
    if not TAG.fullmatch(tag) or tag == "main":
        raise PublishError(f"{tag} is no tag: letters, digits, dots, dashes and underscores, and not main")
    manifest = Manifest.load(folder)
    if not manifest.validated or VALIDATION not in manifest.files:
        raise PublishError(f"{folder}: not validated; run `doit build` and see why")
    if manifest.recipe.get("digest") != recipe_digest:
        raise PublishError(f"{folder}: the recipe has changed since it was built; run `doit build` again")
    if damaged := manifest.damaged(folder):
        raise PublishError(f"{folder}: differs from its manifest: {', '.join(damaged)}; build it again")
    validation = read_json(folder / VALIDATION)
    if not validation["passed"] or validation["artifact"] != manifest.weight_files:
        raise PublishError(f"{folder}: {VALIDATION} is not a passed one of these very files")
    return Release(folder, repo, tag, (*sorted(manifest.files), MANIFEST))
