"""Publishing: what is validated as exactly these bytes, to a target that takes it whole or not at all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from voxrun.errors import VoxrunError
from voxrun.manifest import Entry, read_manifest
from voxrun.registry import COMMIT, LATEST, WITHDRAWN
from voxrun.strict import read_bytes

from .card_check import check_card
from .errors import PublishError
from .manifest import MANIFEST, SIGNATURE, VALIDATION, Manifest, file_entry, read_validation
from .progress import progress_bar
from .signature import faults
from .vouching import provenance_faults
from .workspace import sha256_of

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
    """Somewhere releases go. A new target is one more class with these methods, each raising PublishError.

    Those that look at what is there raise MissingError if it holds no such repository, revision or file.
    A `revision` is a tag, a branch or a commit; `main` is what those get who name none.
    """

    def published(self, release: Release) -> bool:
        """Whether this very release is there, whole, under its tag.

        Raises if the tag holds another, or was withdrawn.
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


def tag_is_withdrawn(release: Release, reason: str) -> PublishError:
    """What a target raises when the tag was withdrawn: publishing does not bring it back."""
    return PublishError(
        f"{release.repo}: the tag {release.tag} was withdrawn ({reason}); choose another with tag=NAME, or"
        " publish.tag in the recipe"
    )


def prepare(folder: Path, recipe_digest: str, repo: str, tag: str, signer: Path | None = None) -> Release:
    """Check that an artifact was validated as exactly the bytes that lie there, by the recipe as it is now.

    `signer` is the public key that it must be signed for; a signature that is there anyway must be of what
    lies there. Nothing else may lie there. Raises VoxbuildError.
    """
    _check_tag(tag)
    manifest = Manifest.load(folder)
    if not manifest.validated or VALIDATION not in manifest.files:
        raise PublishError(f"{folder}: not validated; run `doit build` and see why")
    if manifest.recipe.get("digest") != recipe_digest:
        raise PublishError(f"{folder}: the recipe has changed since it was built; run `doit build` again")
    manifest.refuse_strangers(folder)
    listed = _intact_files(folder)
    if (signer or (folder / SIGNATURE).is_file()) and (wrong := faults(folder, signer)):
        raise PublishError(f"{folder}: not signed as it should be: {'; '.join(wrong)}; run `doit sign`")
    validation = read_validation(folder)
    if not validation["passed"] or validation["artifact"] != manifest.weight_files:
        raise PublishError(f"{folder}: {VALIDATION} is not a passed one of these very files")
    if wrong := check_card(folder, manifest, validation):
        raise PublishError(f"{folder}: the card does not say what was measured: {'; '.join(wrong)}")
    if wrong := provenance_faults(listed, lambda name: read_bytes(folder / name)):
        raise PublishError(f"{folder}: {'; '.join(wrong)}; build it again")
    last = {n: Entry(**file_entry(folder / n)) for n in (MANIFEST, SIGNATURE) if (folder / n).is_file()}
    return Release(folder, repo, tag, listed | last)


def _check_tag(tag: str) -> None:
    if not TAG.fullmatch(tag) or tag == LATEST:
        raise PublishError(f"{tag} is no tag: letters, digits, dots, dashes and underscores, and not main")
    if tag.startswith(WITHDRAWN) or COMMIT.fullmatch(tag):
        raise PublishError(f"{tag} is no tag: readers would take it for the mark of another, or for a commit")


def _intact_files(folder: Path) -> dict[str, Entry]:
    """What the manifest lists, by name, each file as it says; hashes each once."""
    try:
        listed = dict(sorted(read_manifest(folder).items()))
    except VoxrunError as error:
        raise PublishError(f"{error}; build it again") from error
    damaged = {n for n, e in listed.items() if not _has_size(folder / n, e.size)}
    with progress_bar("check " + folder.name, sum(e.size for e in listed.values()), "B") as bar:
        for name in listed.keys() - damaged:
            if sha256_of(folder / name, bar.update) != listed[name].sha256:
                damaged.add(name)
    if damaged:
        names = ", ".join(sorted(damaged))
        raise PublishError(f"{folder}: differs from its manifest: {names}; build it again")
    return listed


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
