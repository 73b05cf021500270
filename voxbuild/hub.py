"""Publishing to the Hugging Face Hub: one commit with everything, verified, then the tag."""

import hashlib
from typing import Any

from voxrun.manifest import Entry
from voxrun.registry import WITHDRAWN

from .errors import MissingError, PublishError
from .hub_client import be_patient, in_a_sentence, is_missing
from .hub_repo import MAIN, SMALL, HubRepo
from .manifest import MANIFEST, SIGNATURE
from .publish import Destination, Release, Version, tag_is_taken

ON_MAIN = Destination()


class Hub:
    """The Hub, or whatever HF_ENDPOINT names; the client finds the token (`hf auth login`, HF_TOKEN).

    Readers of a tag see nothing, or a whole release that never changes: the tag is the last thing made.
    Nothing here asks for a date: which version is newer, the order of commits says.
    """

    def __init__(self) -> None:
        import huggingface_hub

        be_patient()
        self._api = huggingface_hub.HfApi()

    def published(self, release: Release) -> bool:
        """Whether this release is there, whole, under its tag.

        Its signature may be another: signing twice gives two. Raises PublishError if the tag holds
        something else, or was withdrawn.
        """
        with in_a_sentence(release.repo):
            repo = self._repo(release.repo)
            try:
                repo.head()
            except Exception as error:
                if not is_missing(error):
                    raise
                return False
            tags = repo.tags()
            if WITHDRAWN + release.tag in tags:
                raise PublishError(f"{release.repo}: the tag {release.tag} was withdrawn; choose another")
            if release.tag not in tags:
                return False
            if repo.differences(tags[release.tag], release.files, apart=[SIGNATURE]):
                raise tag_is_taken(release)
            return True

    def publish(self, release: Release, destination: Destination = ON_MAIN) -> str:
        """Make one commit that holds the release and nothing else; tag it, unless it is for review.

        What is there already, after whatever became of an earlier try, is not made again.
        """
        repo = self._repo(release.repo)
        if destination == ON_MAIN and self.published(release):
            return self._address(release.repo, release.tag)
        branch = destination.branch or MAIN
        try:
            with in_a_sentence(release.repo):
                return self._send(repo, release, branch, destination.pull_request)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(repo.standing(branch, release.files)) from None

    def _send(self, repo: HubRepo, release: Release, branch: str, pull_request: bool) -> str:
        def operations(head: str) -> list[Any]:
            return _operations(repo, head, release)

        repo.create()
        message = f"Publish {release.tag}"
        if pull_request:
            ref = repo.request(message, release.files, operations)
            return f"{self._api.endpoint}/{repo.name}/discussions/{ref.rpartition('/')[2]}"
        if branch != MAIN:
            repo.create_branch(branch)
        commit = repo.commit(message, release.files, operations, branch)
        if branch != MAIN:
            return self._address(repo.name, branch)
        if not repo.tag(release.tag, commit):
            raise tag_is_taken(release)
        return self._address(repo.name, release.tag)

    def files(self, repo: str, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256 of everything at a revision, `.gitattributes` apart."""
        with in_a_sentence(repo):
            return self._repo(repo).files(revision)

    def read(self, repo: str, revision: str, name: str, limit: int = SMALL) -> bytes:
        """A small file's bytes, with the hash that the Hub lists; larger ones than `limit` are refused."""
        with in_a_sentence(repo):
            return self._repo(repo).read(revision, name, limit)

    def history(self, repo: str) -> list[Version]:
        """All tags, newest first, by the order of main's commits."""
        with in_a_sentence(repo):
            return _versions(self._repo(repo))

    def yank(self, repo: str, tag: str, reason: str) -> str:
        """Mark a tag as withdrawn; if main holds that version, make it the newest one that is not, or empty.

        What an earlier try left undone is done; what is done is left alone.
        """
        try:
            with in_a_sentence(repo):
                return self._yank(self._repo(repo), tag, reason)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(f"{repo}: {tag} may be withdrawn in part; yank it again") from None

    def _yank(self, remote: HubRepo, tag: str, reason: str) -> str:
        repo, tags = remote.name, remote.tags()
        if tag not in tags:
            raise MissingError(f"{repo}: there is no tag {tag}; there are: {', '.join(sorted(tags))}")
        if not remote.tag(WITHDRAWN + tag, tags[tag], reason):
            raise PublishError(f"{repo}: the tag {WITHDRAWN + tag} is on another commit than {tag}")
        versions = _versions(remote)
        kept = next((v for v in versions if v.withdrawn is None), None)
        if any(v.latest and v.withdrawn is not None for v in versions):
            _put_back(remote, kept.commit if kept else None, _withdrawal(tag, reason))
        return f"{repo}: {tag} is withdrawn; the newest that is not: {kept.tag if kept else 'none'}"

    def _repo(self, name: str) -> HubRepo:
        return HubRepo(self._api, name)

    def _address(self, repo: str, revision: str) -> str:
        return f"{self._api.endpoint}/{repo}/tree/{revision}"


def _withdrawal(tag: str, reason: str) -> str:
    return f"Withdraw {tag}\n\n{reason}"


def _operations(repo: HubRepo, head: str, release: Release) -> list[Any]:
    """Everything of the release, and the removal of what is not of it."""
    from huggingface_hub import CommitOperationDelete

    stale = sorted(repo.names(head) - set(release.files))
    return [
        *(CommitOperationDelete(name) for name in stale),
        *(_addition(release, name) for name in release.files),
    ]


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


def _versions(repo: HubRepo) -> list[Version]:
    """The tags, newest first: by the order of main's commits; what is not on main comes last."""
    tags, commits = repo.tags(), repo.commits()
    place = {commit.commit_id: index for index, commit in enumerate(commits)}
    dates = {commit.commit_id: commit.created_at.isoformat() for commit in commits}
    told = {c.title.removeprefix("Withdraw "): c.message for c in commits if c.title.startswith("Withdraw ")}
    marks = {WITHDRAWN + tag for tag in tags}
    names = [tag for tag in tags if tag not in marks]
    names = sorted(sorted(names, reverse=True), key=lambda tag: place.get(tags[tag], len(commits)))
    withdrawn = {tag: told.get(tag) or "no reason is told" for tag in names if WITHDRAWN + tag in tags}
    latest = _latest(repo, tags, sorted(names, key=lambda tag: tag in withdrawn))
    return [
        Version(tag, tags[tag], dates.get(tags[tag], ""), tag == latest, withdrawn.get(tag)) for tag in names
    ]


def _latest(repo: HubRepo, tags: dict[str, str], names: list[str]) -> str | None:
    """The first of these tags with the manifest that main has."""
    held = repo.blob(MAIN, MANIFEST)
    return next((tag for tag in names if held and repo.blob(tags[tag], MANIFEST) == held), None)


def _put_back(repo: HubRepo, commit: str | None, message: str) -> None:
    """Make main hold what a commit holds, or nothing; the files are copied on the Hub."""
    from huggingface_hub import CommitOperationCopy, CommitOperationDelete

    wanted = repo.files(commit) if commit else {}

    def operations(head: str) -> list[Any]:
        stale = sorted(repo.names(head) - set(wanted))
        copies = [CommitOperationCopy(name, name, src_revision=commit) for name in sorted(wanted)]
        return [*(CommitOperationDelete(name) for name in stale), *copies]

    repo.commit(message, wanted, operations, MAIN)
