"""Publishing to the Hugging Face Hub: one commit with everything, verified, then the tag."""

import hashlib
from collections.abc import Mapping
from typing import Any

from voxbuild.artifact.manifest import CARD, SIGNATURE
from voxbuild.errors import PublishError
from voxbuild.publish.target import (
    TAKEN,
    UNSIGNED,
    Destination,
    Release,
    Say,
    Version,
    silent,
    tag_conflict,
)
from voxbuild.recipes.hub_terms import REASONS
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import WITHDRAWN

from .checks import check
from .client import be_patient, check_token, plain, publish_errors
from .reader import MAIN, SMALL
from .versions import NO_REASON, reasons, versions, withdraw
from .writer import Additions, HubRepo

ON_MAIN = Destination()


class Hub:
    """The Hub, or the server at HF_ENDPOINT; the client finds the token (`hf auth login`, HF_TOKEN).

    The tag is created last, so it always names a whole release. Versions are ordered by commits, not dates.
    """

    reviews = True
    shared = True

    def __init__(self) -> None:
        import huggingface_hub

        be_patient()
        check_token()
        self._api = huggingface_hub.HfApi()

    def published(self, release: Release) -> bool:
        """Whether the tag holds this release, complete; the signature may differ, as signing twice gives two.

        Raises PublishError if the tag was withdrawn, holds something else, holds this artifact unsigned while
        the release is signed, or is also a branch.
        """
        with publish_errors(release.repo):
            repo = self._repo(release.repo, release.private)
            return repo.exists() and self._holds(repo, release)

    def _holds(self, repo: HubRepo, release: Release) -> bool:
        refs = repo.refs()
        if WITHDRAWN + release.tag in refs.tags:
            reason = reasons(repo, refs.branches.get(REASONS)).get(release.tag, NO_REASON)
            raise tag_conflict(release, f"was withdrawn ({reason})")
        if release.tag in refs.branches:
            raise tag_conflict(release, "is the name of a branch")
        if release.tag not in refs.tags:
            return False
        commit = refs.tags[release.tag]
        if repo.differences(commit, release.files, apart=[SIGNATURE]):
            raise tag_conflict(release, TAKEN)
        if SIGNATURE in release.files and not repo.blobs(commit, SIGNATURE):
            raise tag_conflict(release, UNSIGNED)
        return True

    def check(self, release: Release, destination: Destination = ON_MAIN) -> list[str]:
        """What lies there beside the release, and who will see it; nothing is written.

        Raises PublishError for a card that the Hub refuses, a token without rights, a repository that is
        public but must not be, and files that would be read as a part of the model.
        """
        with publish_errors(release.repo):
            return self._check(self._repo(release.repo, release.private), release, destination)

    def _check(self, repo: HubRepo, release: Release, destination: Destination) -> list[str]:
        card = _content(release, CARD).decode("utf-8", "replace") if CARD in release.files else None
        return check(self._api, repo, release, destination, card)

    def publish(self, release: Release, destination: Destination = ON_MAIN, say: Say = silent) -> str:
        """Make one commit that holds the release; tag it, unless it is for review.

        Files of others are kept, unless they are to be pruned. After an interrupted try this makes only what
        is missing.
        """
        repo = self._repo(release.repo, release.private)
        if destination.is_main and self.published(release):
            return self._address(release.repo, release.tag)
        try:
            with publish_errors(release.repo):
                for line in self._check(repo, release, destination):
                    say(line)
                return self._send(repo, release, destination)
        except KeyboardInterrupt:
            branch = destination.branch or MAIN
            standing = repo.standing(release.files, branch, destination.pull_request)
            raise KeyboardInterrupt(standing) from None

    def _send(self, repo: HubRepo, release: Release, destination: Destination) -> str:
        repo.create()
        prune = destination.prune
        if destination.pull_request:
            ref = repo.request(*_commit(release), prune=prune)
            return f"{self._api.endpoint}/{repo.name}/discussions/{ref.rpartition('/')[2]}"
        if (branch := destination.branch) and not destination.is_main:
            repo.create_branch(branch)
            repo.commit(*_commit(release), branch, prune=prune)
            return self._address(repo.name, branch)
        if not repo.tag(release.tag, repo.commit(*_commit(release), MAIN, prune=prune)):
            raise tag_conflict(release, TAKEN)
        return self._address(repo.name, release.tag)

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256 of all files at a revision, without `.gitattributes`."""
        with publish_errors(repo):
            there = self._repo(repo)
            return there.files(there.resolve(revision))

    def read(self, repo: str, revision: str, name: str, limit: int = SMALL) -> bytes:
        """A file's bytes, checked against the Hub's hash. Raises PublishError if it exceeds `limit`."""
        with publish_errors(repo):
            there = self._repo(repo)
            return there.read(there.resolve(revision), name, limit)

    def history(self, repo: str) -> list[Version]:
        """All tags, newest first, by the order of main's commits."""
        with publish_errors(repo):
            return versions(self._repo(repo))

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Mark a tag as withdrawn and record the reason; a version on main becomes the newest that is not
        withdrawn, or main becomes empty. After an interrupted try this makes only what is missing.
        """
        try:
            with publish_errors(repo):
                kept = withdraw(self._repo(repo), tag, plain(reason))
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{repo}: {tag} may be withdrawn in part; yank it again") from None
        return f"{repo}: {tag} is withdrawn; latest: {kept or 'none'}"

    def _repo(self, name: str, private: bool = False) -> HubRepo:
        return HubRepo(self._api, name, private)

    def _address(self, repo: str, revision: str) -> str:
        return f"{self._api.endpoint}/{repo}/tree/{revision}"


def _commit(release: Release) -> tuple[str, Mapping[str, Entry], Additions]:
    """A commit of the release: its message, its files, and the client's operations."""
    return (
        f"Publish {release.tag}",
        release.files,
        lambda: [_addition(release, name) for name in release.files],
    )


def _addition(release: Release, name: str) -> Any:
    """A file with its known hash, so that the client does not hash it again.

    Small files are checked here as they are read and sent. LFS rejects a large file that has changed. Xet
    would trust the hash, so it is not given one and hashes the file as it is sent.
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
    return CommitOperationAdd(name, _content(release, name))


def _content(release: Release, name: str) -> bytes:
    """A small file's bytes. Raises PublishError if they changed."""
    data = (release.folder / name).read_bytes()
    if hashlib.sha256(data).hexdigest() != release.files[name].sha256:
        raise _changed(release, name)
    return data


def _changed(release: Release, name: str) -> PublishError:
    return PublishError(f"{release.folder / name}: changed after it was checked; build it again and publish")
