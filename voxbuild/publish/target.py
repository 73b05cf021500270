"""What a release is, and what a publish target does with it: each release is stored whole or not at all."""

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
"""Characters. Tags are file names, also with a prefix."""
REASONS = "withdrawn"
"""The branch of a repository on the Hub that holds the reasons for withdrawn tags."""
RESERVED = (LATEST, "HEAD", REASONS)
TAKEN = "holds another artifact, and published tags never change"
UNSIGNED = "holds this artifact unsigned, and published tags never change"


@dataclass(frozen=True)
class Release:
    """A checked artifact: its folder, files and names. Made by `prepare`."""

    folder: Path
    repo: str
    tag: str
    files: Mapping[str, Entry]
    """Path relative to the folder -> size and hash; the manifest and an existing signature come last."""


@dataclass(frozen=True)
class Destination:
    """Where a release goes: to main, with its tag; or to a branch or a pull request, without a tag."""

    branch: str | None = None
    pull_request: bool = False

    @property
    def is_main(self) -> bool:
        """Whether it gets a tag and becomes the default revision."""
        return (self.branch or LATEST) == LATEST and not self.pull_request


@dataclass(frozen=True)
class Version:
    """A tag of a repository."""

    tag: str
    commit: str
    date: str
    """Of its commit, ISO 8601 in UTC; empty if unknown."""
    latest: bool
    """Whether main holds it: the default revision for readers."""
    withdrawn: str | None = None
    """The reason, if it was withdrawn."""


class PublishTarget(Protocol):
    """A place to publish to. A new target is a class with these methods and a row in `targets`.

    All methods raise PublishError; those that read raise MissingError if there is no such repository,
    revision or file. A `revision` is a tag, a branch or a commit; `main` is the readers' default.
    """

    reviews: bool
    """Whether it has branches and pull requests."""

    def published(self, release: Release) -> bool:
        """Whether the tag holds this release, complete; the signature may differ.

        Raises if the tag was withdrawn, holds another artifact, or holds this one unsigned and it is signed.
        """

    def publish(self, release: Release, destination: Destination) -> str:
        """Store the release whole, or change nothing that readers see; return its address."""

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256 of all files, from their bytes; without `.gitattributes`."""

    def read(self, repo: str, revision: str, name: str, limit: int) -> bytes:
        """A file's bytes. Raises if there are more than `limit`."""

    def history(self, repo: str) -> list[Version]:
        """All tags, newest first, without the marks of withdrawn ones."""

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Mark a tag as withdrawn; main goes back to the newest tag that is not. Return what changed."""


def tag_conflict(release: Release, problem: str) -> PublishError:
    """The error for a release that cannot have its tag; `problem` continues "the tag v1 ..."."""
    return PublishError(
        f"{release.repo}: the tag {release.tag} {problem}; choose another with tag=NAME, or publish.tag in"
        " the recipe"
    )


def check_branch(name: str) -> None:
    """Raise PublishError if this cannot be the name of a branch for review."""
    if name == LATEST:
        raise PublishError(f"{LATEST} cannot be a branch for review; to publish to it, leave out branch=")
    _check_name("branch", name, name.split("/"))


def check_tag(tag: str) -> None:
    """Raise PublishError if a release cannot have this tag."""
    _check_name("tag", tag, [tag])


def _check_name(kind: str, name: str, parts: list[str]) -> None:
    """Git's rules (https://git-scm.com/docs/git-check-ref-format), without names that mean something else."""
    if len(name) > LONGEST_NAME or not all(map(_is_part, parts)):
        raise PublishError(
            f"{name[:LONGEST_NAME]!r} is not a valid {kind}: use up to {LONGEST_NAME} ASCII letters, digits,"
            " dots, dashes and underscores; no two dots in a row, no dot or .lock at the end"
        )
    if name in RESERVED or parts[0] == "refs" or name.startswith(WITHDRAWN) or COMMIT.fullmatch(name):
        raise PublishError(
            f"{name} is not a valid {kind}: readers would take it for main, a withdrawal mark or a commit"
        )


def _is_part(name: str) -> bool:
    return bool(NAME.fullmatch(name)) and ".." not in name and not name.endswith((".", ".lock"))
