"""Publishing: what is validated as exactly these bytes, to a target that takes it whole or not at all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxrun.manifest import Entry

from .errors import PublishError
from .manifest import MANIFEST, SIGNATURE, VALIDATION, Manifest, file_entry
from .workspace import read_json

TAG = re.compile(r"\w[\w.-]*")


@dataclass(frozen=True)
class Release:
    """An artifact ready to go: its folder, files and names. Make it with `prepare`."""

    folder: Path
    repo: str
    tag: str
    files: Mapping[str, Entry]
    """Paths relative to the folder, with the size and hash each was found to have; the manifest, and the
    signature if there is one, are the last."""


@dataclass(frozen=True)
class Destination:
    """Where a release lands: on main under its tag; or for review, without a tag."""

    branch: str | None = None
    pull_request: bool = False


@dataclass(frozen=True)
class Version:
    """A tag of a repository."""

    tag: str
    commit: str
    date: str
    """When its commit was made, ISO 8601 in UTC; empty if nobody knows."""
    latest: bool
    """Whether it is what those get who name no tag."""
    withdrawn: str | None = None
    """Why it was withdrawn, if it was."""


class PublishTarget(Protocol):
    """Somewhere releases go. A new target is one more class with these methods, each raising PublishError."""

    def published(self, release: Release) -> bool:
        """Whether this very release is there under its tag. Raises if the tag holds another."""

    def publish(self, release: Release) -> str:
        """Put it there whole; return where it can be found."""


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
    listed = {name: Entry(**entry) for name, entry in sorted(manifest.files.items())}
    last = {n: Entry(**file_entry(folder / n)) for n in (MANIFEST, SIGNATURE) if (folder / n).is_file()}
    return Release(folder, repo, tag, listed | last)
