"""Publishing to the Hugging Face Hub: one commit with everything, verified, then the tag."""

import hashlib
from collections.abc import Mapping
from functools import partial
from typing import Any

from voxbuild.artifact.manifest import SIGNATURE
from voxbuild.errors import PublishError
from voxbuild.publish.target import (
    REASONS,
    Destination,
    Release,
    Version,
    tag_is_taken,
    tag_is_unsigned,
    tag_is_withdrawn,
)
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import WITHDRAWN

from .client import be_patient, check_token, in_a_sentence, plain
from .reader import MAIN, SMALL
from .versions import UNTOLD, reasons, versions, withdraw
from .writer import Additions, HubRepo

ON_MAIN = Destination()


class Hub:
    """The Hub, or whatever HF_ENDPOINT names; the client finds the token (`hf auth login`, HF_TOKEN).

    Readers of a tag see nothing, or a whole release that never changes: the tag is the last thing made.
    Nothing here asks for a date: the order of commits says which version is newer.
    """

    reviews = True

    def __init__(self) -> None:
        import huggingface_hub

        be_patient()
        check_token()
        self._api = huggingface_hub.HfApi()

    def published(self, release: Release) -> bool:
        """Whether this release is there, whole, under its tag.

        Its signature may be another: signing twice gives two. Raises PublishError if the tag holds
        something else, or the same unsigned and it is signed now, or was withdrawn, or is a branch's name.
        """
        with in_a_sentence(release.repo):
            repo = self._repo(release.repo)
            return repo.is_there() and self._holds(repo, release)

    def _holds(self, repo: HubRepo, release: Release) -> bool:
        refs = repo.refs()
        if WITHDRAWN + release.tag in refs.tags:
            told = reasons(repo, refs.branches.get(REASONS))
            raise tag_is_withdrawn(release, told.get(release.tag, UNTOLD))
        if release.tag in refs.branches:
            raise PublishError(
                f"{release.repo}: {release.tag} is the name of a branch; choose another with tag=NAME"
            )
        if release.tag not in refs.tags:
            return False
        commit = refs.tags[release.tag]
        if repo.differences(commit, release.files, apart=[SIGNATURE]):
            raise tag_is_taken(release)
        if SIGNATURE in release.files and not repo.blobs(commit, SIGNATURE):
            raise tag_is_unsigned(release)
        return True

    def publish(self, release: Release, destination: Destination = ON_MAIN) -> str:
        """Make one commit that holds the release and nothing else; tag it, unless it is for review.

        What is there already, after whatever became of an earlier try, is not made again.
        """
        repo = self._repo(release.repo)
        if destination.is_main and self.published(release):
            return self._address(release.repo, release.tag)
        try:
            with in_a_sentence(release.repo):
                return self._send(repo, release, destination)
        except KeyboardInterrupt:
            branch = destination.branch or MAIN
            said = repo.standing(release.files, branch, destination.pull_request)
            raise KeyboardInterrupt(said) from None

    def _send(self, repo: HubRepo, release: Release, destination: Destination) -> str:
        repo.create()
        if destination.pull_request:
            ref = repo.request(*_what(release))
            return f"{self._api.endpoint}/{repo.name}/discussions/{ref.rpartition('/')[2]}"
        if destination.branch and not destination.is_main:
            self._send_for_review(repo, destination.branch, release)
            return self._address(repo.name, destination.branch)
        if not repo.tag(release.tag, repo.commit(*_what(release), MAIN)):
            raise tag_is_taken(release)
        return self._address(repo.name, release.tag)

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256 of everything at a revision, `.gitattributes` apart."""
        with in_a_sentence(repo):
            there = self._repo(repo)
            return there.files(there.resolve(revision))

    def read(self, repo: str, revision: str, name: str, limit: int = SMALL) -> bytes:
        """A small file's bytes, with the hash that the Hub lists; larger ones than `limit` are refused."""
        with in_a_sentence(repo):
            there = self._repo(repo)
            return there.read(there.resolve(revision), name, limit)

    def history(self, repo: str) -> list[Version]:
        """All tags, newest first, by the order of main's commits."""
        with in_a_sentence(repo):
            return versions(self._repo(repo))

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Mark a tag as withdrawn, and say why; if main holds a version, make it the newest one that is not
        withdrawn, or empty.

        What an earlier try left undone is done; what is done is left alone.
        """
        try:
            with in_a_sentence(repo):
                kept = withdraw(self._repo(repo), tag, plain(reason))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{repo}: {tag} may be withdrawn in part; yank it again") from None
        return f"{repo}: {tag} is withdrawn; the newest that is not: {kept or 'none'}"

    def _send_for_review(self, repo: HubRepo, branch: str, release: Release) -> None:
        """Have the release on a branch, which has a name of its own."""
        if branch == release.tag or branch in repo.refs().tags:
            raise PublishError(f"{repo.name}: {branch} is the name of a tag; choose another with branch=NAME")
        repo.create_branch(branch)
        repo.commit(*_what(release), branch)

    def _repo(self, name: str) -> HubRepo:
        return HubRepo(self._api, name)

    def _address(self, repo: str, revision: str) -> str:
        return f"{self._api.endpoint}/{repo}/tree/{revision}"


def _what(release: Release) -> tuple[str, Mapping[str, Entry], Additions]:
    """What a commit of the release is called and holds, and what puts it there."""
    return f"Publish {release.tag}", release.files, partial(_additions, release)


def _additions(release: Release) -> list[Any]:
    """All of the release."""
    return [_addition(release, name) for name in release.files]


def _addition(release: Release, name: str) -> Any:
    """A file with the hash that it was found to have, so that it is not hashed again.

    Small ones are read here, and what is read is what is sent. LFS refuses a large one that has changed; to
    Xet the hash is not given, for it would be believed: there the file is hashed while it is sent.
    """
    from huggingface_hub import CommitOperationAdd
    from huggingface_hub.utils._runtime import is_xet_available

    path, entry = release.folder / name, release.files[name]
    if path.stat().st_size != entry.size:
        raise _changed(release, name)
    if entry.size > SMALL:
        addition = CommitOperationAdd(name, path)
        if not is_xet_available():
            addition.upload_info.sha256 = bytes.fromhex(entry.sha256)
        return addition
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise _changed(release, name)
    return CommitOperationAdd(name, data)


def _changed(release: Release, name: str) -> PublishError:
    return PublishError(
        f"{release.folder / name}: it changed after it was checked; build it again and publish"
    )
