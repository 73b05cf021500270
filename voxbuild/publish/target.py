"""What a release is, and what a publish target does with it: each release is stored whole or not at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxbuild.errors import PublishError
from voxbuild.recipes import hub_terms
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import LATEST

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
    private: bool = False
    """Whether it must not be published publicly; else a new repository is public."""
    made_from: tuple[str, ...] = ()
    """Repositories on the Hub that must be public, as nobody asked for making it public by name."""


@dataclass(frozen=True)
class Destination:
    """Where a release goes: to main, with its tag; or to a branch or a pull request, without a tag."""

    branch: str | None = None
    pull_request: bool = False
    prune: bool = False
    """Whether files of others are removed there, not kept."""

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


Say = Callable[[str], object]
"""Tells the publisher something, in one line."""


def silent(line: str) -> None:
    """Tells nothing."""


class PublishTarget(Protocol):
    """A place to publish to. A new target is a class with these methods and a row in `targets`.

    All methods raise PublishError; those that read raise MissingError if there is no such repository,
    revision or file. A `revision` is a tag, a branch or a commit; `main` is the readers' default.
    """

    reviews: bool
    """Whether it has branches and pull requests."""
    shared: bool
    """Whether others may keep files in a repository, which releases leave there."""

    def published(self, release: Release) -> bool:
        """Whether the tag holds this release, complete; the signature may differ.

        Raises if the tag was withdrawn, holds another artifact, or holds this one unsigned and it is signed.
        """

    def check(self, release: Release, destination: Destination) -> list[str]:
        """Check what can be checked before anything is sent; return what to tell the publisher, by line.

        Raises if the release would be refused.
        """

    def publish(self, release: Release, destination: Destination, say: Say = silent) -> str:
        """Store the release whole, or change nothing that readers see; return its address.

        What `check` returns is said before anything is sent.
        """

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
    _checked(hub_terms.check_branch, name)


def check_tag(name: str) -> None:
    """Raise PublishError if a release cannot have this tag."""
    _checked(hub_terms.check_tag, name)


def _checked(rule: Callable[[str], str], name: str) -> None:
    try:
        rule(name)
    except ValueError as error:
        raise PublishError(str(error)) from error
