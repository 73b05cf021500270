"""Publishing: what is validated as exactly these bytes, to a target that takes it whole or not at all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxbuild.errors import PublishError
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import COMMIT, LATEST, WITHDRAWN

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
LONGEST_NAME = 100
"""Characters. Files are called so, and with a mark before it."""
REASONS = "withdrawn"
"""The branch of a repository on the Hub that says why tags were withdrawn."""
KEPT = (LATEST, "HEAD", REASONS)
"""Names that stand for something else."""


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

    @property
    def is_main(self) -> bool:
        """Whether it gets a tag, and readers who name none get it."""
        return (self.branch or LATEST) == LATEST and not self.pull_request


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
    """Somewhere releases go. A new target is one more class like this, and a row in `targets`.

    All methods raise PublishError. Those that look at what is there raise MissingError if it holds no such
    repository, revision or file.
    A `revision` is a tag, a branch or a commit; `main` is what readers get who name none.
    """

    reviews: bool
    """Whether it has branches and pull requests."""

    def published(self, release: Release) -> bool:
        """Whether this very release is there, whole, under its tag; its signature may be another.

        Raises if the tag holds another, or holds it unsigned and this one is signed, or was withdrawn.
        """

    def publish(self, release: Release, destination: Destination) -> str:
        """Put it there whole, or leave all as it was; return where it can be found."""

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256 of everything that is there, by its bytes; `.gitattributes` is left out."""

    def read(self, repo: str, revision: str, name: str, limit: int) -> bytes:
        """A file's bytes. Raises if there are more than `limit` of them."""

    def history(self, repo: str) -> list[Version]:
        """All tags, newest first; the marks of withdrawn ones are none of them."""

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Mark a tag as withdrawn; main goes back to the newest one that is not. Return what came of it."""


def tag_is_taken(release: Release) -> PublishError:
    """What a target raises when the tag holds another artifact."""
    return PublishError(
        f"{release.repo}: the tag {release.tag} holds another artifact; published tags never change:"
        " choose another with tag=NAME, or publish.tag in the recipe"
    )


def tag_is_unsigned(release: Release) -> PublishError:
    """What a target raises when the tag holds the artifact without the signature that it has by now."""
    return PublishError(
        f"{release.repo}: the tag {release.tag} holds this artifact unsigned; published tags never change:"
        " publish it under another tag, with tag=NAME or publish.tag in the recipe"
    )


def tag_is_withdrawn(release: Release, reason: str) -> PublishError:
    """What a target raises when the tag was withdrawn: publishing does not bring it back."""
    return PublishError(
        f"{release.repo}: the tag {release.tag} was withdrawn ({reason}); choose another with tag=NAME, or"
        " publish.tag in the recipe"
    )


def check_branch(name: str) -> None:
    """Raise PublishError if releases cannot go to a branch of this name for review."""
    if name == LATEST:
        raise PublishError(f"{LATEST} is no branch for review; what is published without branch= goes there")
    _check_name("branch", name, name.split("/"))


def check_tag(tag: str) -> None:
    """Raise PublishError if a release cannot have this tag."""
    _check_name("tag", tag, [tag])


def _check_name(kind: str, name: str, parts: list[str]) -> None:
    """Git's rules (https://git-scm.com/docs/git-check-ref-format), and what readers would make of it."""
    if len(name) > LONGEST_NAME or not all(map(_is_part, parts)):
        raise PublishError(
            f"{name[:LONGEST_NAME]!r} is no {kind}: up to {LONGEST_NAME} letters, digits, dots, dashes and"
            " underscores of ASCII, no two dots together, no dot and no .lock at the end"
        )
    if name in KEPT or parts[0] == "refs" or name.startswith(WITHDRAWN) or COMMIT.fullmatch(name):
        raise PublishError(
            f"{name} is no {kind}: readers would take it for main, for the mark of another, or for a commit"
        )


def _is_part(name: str) -> bool:
    return bool(NAME.fullmatch(name)) and ".." not in name and not name.endswith((".", ".lock"))
