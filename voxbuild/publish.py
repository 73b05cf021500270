"""Publishing: what is validated as exactly these bytes, to a target that takes it whole or not at all."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxbuild.artifact.evidence import made, signed, validated
from voxbuild.artifact.manifest import (
    MANIFEST,
    SIGNATURE,
    VALIDATION,
    Manifest,
    file_entry,
    manifest_bytes,
    read_validation,
)
from voxbuild.card.check import check_card
from voxbuild.card.siblings import Record
from voxrun.errors import VoxrunError
from voxrun.files.hashes import sha256_of
from voxrun.files.paths import read_bytes
from voxrun.trust.manifest import Entry, read_entries
from voxrun.trust.registry import COMMIT, LATEST, WITHDRAWN

from .console import progress_bar
from .errors import PublishError
from .files import STATE_BYTES

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
    """Somewhere releases go. A new target is one more class with these methods, each raising PublishError.

    Those that look at what is there raise MissingError if it holds no such repository, revision or file.
    A `revision` is a tag, a branch or a commit; `main` is what those get who name none.
    """

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


def prepare(
    folder: Path, recipe_digest: str, repo: str, tag: str, signer: Path | None = None, record: Record = ()
) -> Release:
    """Check that an artifact was validated as exactly the bytes that lie there, by the recipe as it is now.

    `signer` is the public key that it must be signed for; a signature that is there anyway must be of what
    lies there, and nothing else may lie there. `record`: the published variants of its source, as its card
    lists them. The manifest is read once: what was checked is what a target is to send. Raises VoxbuildError.
    """
    _check_tag(tag)
    raw = manifest_bytes(folder)
    manifest = Manifest.of(raw, folder / MANIFEST)
    if not manifest.validated or VALIDATION not in manifest.files:
        raise PublishError(f"{folder}: not validated; run `doit build` and see why")
    if manifest.recipe.get("digest") != recipe_digest:
        raise PublishError(f"{folder}: the recipe has changed since it was built; run `doit build` again")
    manifest.refuse_strangers(folder)
    files = _intact_files(folder, read_entries({"files": manifest.files}, str(folder / MANIFEST)))
    files[MANIFEST] = Entry(len(raw), hashlib.sha256(raw).hexdigest())
    if (folder / SIGNATURE).is_file():
        files[SIGNATURE] = Entry(**file_entry(folder / SIGNATURE))

    def read(name: str) -> bytes:
        return read_bytes(folder / name, STATE_BYTES)

    with _refused(folder, "build it again"):
        validated(files, read)
    if wrong := check_card(folder, manifest, read_validation(folder), record):
        said = "; ".join(wrong)
        raise PublishError(f"{folder}: the card does not say what was measured: {said}; run `doit build`")
    with _refused(folder, "build it again"):
        made(files, read)
    with _refused(folder, "run `doit sign`"):
        signed(files, read, signer)
    return Release(folder, repo, tag, files)


@contextmanager
def _refused(folder: Path, remedy: str) -> Iterator[None]:
    """What `doit verify` would find wrong with it, it finds before it is published."""
    try:
        yield
    except (PublishError, VoxrunError) as error:
        raise PublishError(f"{folder}: {error}; {remedy}") from error


def check_branch(name: str) -> None:
    """Raise PublishError if releases cannot go to a branch of this name for review."""
    if name == LATEST:
        raise PublishError(f"{LATEST} is no branch for review; what is published without branch= goes there")
    _check_name("branch", name, name.split("/"))


def _check_tag(tag: str) -> None:
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


def _intact_files(folder: Path, listed: Mapping[str, Entry]) -> dict[str, Entry]:
    """What the manifest lists, by name, each file as it says; hashes each once."""
    damaged = {n for n, e in listed.items() if not _has_size(folder / n, e.size)}
    with progress_bar("check " + folder.name, sum(e.size for e in listed.values()), "B") as bar:
        for name in listed.keys() - damaged:
            if sha256_of(folder / name, bar.update) != listed[name].sha256:
                damaged.add(name)
    if damaged:
        names = ", ".join(sorted(damaged))
        raise PublishError(f"{folder}: differs from its manifest: {names}; build it again")
    return dict(sorted(listed.items()))


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
