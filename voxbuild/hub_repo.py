"""A repository on the Hub: what is there by its hashes, and changes that are made whole or not at all."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from voxrun.manifest import Entry

from .errors import MissingError, PublishError
from .hub_client import WAITS, again, is_missing, pause, sentence

if TYPE_CHECKING:
    from huggingface_hub.hf_api import GitCommitInfo, HfApi, RepoFile

MAIN = "main"
OWN = (".gitattributes",)
"""The Hub's own files: it makes them with the repository."""
SMALL = 16 * 2**20
"""Bytes. What is not in LFS is smaller: the Hub takes larger files into LFS alone."""
THEIRS = "; meanwhile somebody else committed to it: look at that and publish again"
UNSEEN = "whether the commit was made could not be seen; publish again, which looks first"
Operations = Callable[[str], list[Any]]
"""From the commit that they build on to the client's operations."""


class HubRepo:
    """One repository. What its methods raise is the client's, but for what PublishError says better."""

    def __init__(self, api: "HfApi", repo: str) -> None:
        self._api, self.name = api, repo

    def head(self, branch: str = MAIN) -> str:
        """The commit of a branch. Raises PublishError if the repository has another name by now."""
        info = again(lambda: self._api.model_info(self.name, revision=None if branch == MAIN else branch))
        if info.id.lower() != self.name.lower():
            raise PublishError(
                f"{self.name}: it was renamed to {info.id} on the Hub; publish under that name, or a new one"
            )
        return str(info.sha)

    def tags(self) -> dict[str, str]:
        """Tag -> commit."""
        return {
            tag.name: tag.target_commit for tag in again(lambda: self._api.list_repo_refs(self.name)).tags
        }

    def branches(self) -> dict[str, str]:
        """Branch -> commit."""
        refs = again(lambda: self._api.list_repo_refs(self.name))
        return {branch.name: branch.target_commit for branch in refs.branches}

    def pull_requests(self) -> dict[str, str]:
        """Pull request's ref -> commit."""
        refs = again(lambda: self._api.list_repo_refs(self.name, include_pull_requests=True))
        return {request.ref: request.target_commit for request in refs.pull_requests or ()}

    def commits(self) -> "list[GitCommitInfo]":
        """Those of main, each before its parent; their dates are the server's, and prove nothing."""
        return self._api.list_repo_commits(self.name)

    def files(self, revision: str) -> dict[str, Entry]:
        """Path -> size and sha256 of everything; small files are downloaded, for the Hub tells no sha256."""
        listed = self._listing(revision)
        return {name: Entry(file.size, self._sha256(revision, file)) for name, file in listed.items()}

    def read(self, revision: str, name: str, limit: int) -> bytes:
        """A file that is no larger than `limit` bytes, with the hash that the Hub lists for it."""
        from huggingface_hub.hf_api import RepoFile

        found = again(lambda: self._api.get_paths_info(self.name, [name], revision=revision))
        if not found or not isinstance(found[0], RepoFile):
            raise MissingError(f"{self.name}: there is no file {name} at {revision}")
        return self._download(revision, found[0], limit)

    def blob(self, revision: str, name: str) -> str | None:
        """A git hash: equal for equal files; None if there is no such file."""
        found = again(lambda: self._api.get_paths_info(self.name, [name], revision=revision))
        return getattr(found[0], "blob_id", None) if found else None

    def names(self, revision: str) -> set[str]:
        """Paths of everything there."""
        return set(self._listing(revision))

    def differences(
        self, revision: str, wanted: Mapping[str, Entry], apart: Collection[str] = ()
    ) -> list[str]:
        """Names of files that are missing there, are not wanted, or are not as they should be."""
        listed = {name: file for name, file in self._listing(revision).items() if name not in apart}
        wanted = {name: entry for name, entry in wanted.items() if name not in apart}
        different = set(listed) ^ set(wanted)
        different |= {n for n in set(listed) & set(wanted) if not _may_be(listed[n], wanted[n])}
        if not different:  # only then is it worth a download
            different = {n for n, f in listed.items() if self._sha256(revision, f) != wanted[n].sha256}
        return sorted(different)

    def create(self) -> None:
        """Have the repository: public if it is new. One that was renamed is not made anew."""
        try:
            self.head()
        except Exception as error:
            if not is_missing(error):
                raise
            again(lambda: self._api.create_repo(self.name, exist_ok=True))

    def create_branch(self, branch: str) -> None:
        """Have the branch: from main if it is new."""
        if branch not in self.branches():
            again(lambda: self._api.create_branch(self.name, branch=branch, exist_ok=True))

    def commit(self, message: str, wanted: Mapping[str, Entry], operations: Operations, branch: str) -> str:
        """Make a branch hold the wanted files, by one commit if it does not; return the commit that does.

        The answer is not relied on: after any error the branch is read, and what is there decides. Only a
        branch that still is what it was before is tried again, and the commit names it as its parent.
        """
        head = self.head(branch)
        if not self.differences(head, wanted):
            return head
        for wait in (*WAITS, None):
            try:
                made = self._commit(message, operations(head), head, revision=branch)
                break
            except Exception as error:
                made = self._look(branch, error)
                if made != head and not self.differences(made, wanted):
                    break
                if made != head:
                    raise PublishError(f"{self.name}: {sentence(error)}{THEIRS}") from error
                if wait is None:
                    raise
                pause(error, wait)
        self._verify(made, wanted)
        return made

    def request(self, message: str, wanted: Mapping[str, Entry], operations: Operations) -> str:
        """Have a pull request on main that holds the wanted files; return its ref."""
        before, failure = self.pull_requests(), None
        if ours := self._holding(before, wanted):
            return ours
        head = self.head()
        try:
            self._commit(message, operations(head), head, create_pr=True)
        except Exception as error:  # its answer may be lost
            failure = error
        made = {ref: commit for ref, commit in self.pull_requests().items() if ref not in before}
        if ours := self._holding(made, wanted):
            return ours
        raise failure or PublishError(f"{self.name}: the pull request does not hold what was sent")

    def _holding(self, refs: Mapping[str, str], wanted: Mapping[str, Entry]) -> str | None:
        return next((ref for ref, commit in refs.items() if not self.differences(commit, wanted)), None)

    def _commit(self, message: str, operations: list[Any], parent: str, **where: Any) -> str:
        title, _, description = message.partition("\n\n")
        made = self._api.create_commit(
            self.name,
            operations,
            commit_message=title,
            commit_description=description,
            parent_commit=parent,
            **where,
        )
        return str(made.oid)

    def tag(self, name: str, commit: str, message: str | None = None) -> bool:
        """Put a tag on a commit; whether it is there now: False if it is on another."""
        try:
            again(lambda: self._api.create_tag(self.name, tag=name, revision=commit, tag_message=message))
        except Exception:  # it may be there, by us or by others
            found = self.tags().get(name)
            if found is None:
                raise
            return found == commit
        return True

    def standing(self, branch: str, wanted: Mapping[str, Entry]) -> str:
        """Of a publish that was interrupted: what of it there is to be seen."""
        try:
            if self.differences(self.head(branch), wanted):
                return f"{self.name}: nothing of it is there; if a commit was on its way, the next finds it"
            return f"{self.name}: {branch} holds it; publish again to verify and tag it"
        except (Exception, KeyboardInterrupt):  # whoever is in such a hurry gets an answer anyway
            return f"{self.name}: {UNSEEN}"

    def _verify(self, commit: str, wanted: Mapping[str, Entry]) -> None:
        if different := self.differences(commit, wanted):
            raise PublishError(
                f"{self.name}: commit {commit} does not hold what was sent: {', '.join(different)};"
                " nothing was tagged; build again what changed meanwhile, and publish again"
            )

    def _look(self, branch: str, error: Exception) -> str:
        """The branch after an error."""
        try:
            return self.head(branch)
        except Exception as blind:
            if isinstance(blind, PublishError) or is_missing(blind):
                raise
            raise PublishError(
                f"{self.name}: {sentence(error)}; and then {sentence(blind)}: {UNSEEN}"
            ) from blind

    def _listing(self, revision: str) -> "dict[str, RepoFile]":
        from huggingface_hub.hf_api import RepoFile

        items = self._api.list_repo_tree(self.name, recursive=True, revision=revision)
        return {item.path: item for item in items if isinstance(item, RepoFile) and item.path not in OWN}

    def _sha256(self, revision: str, file: "RepoFile") -> str:
        if file.lfs:
            return file.lfs.sha256
        return hashlib.sha256(self._download(revision, file, SMALL)).hexdigest()

    def _download(self, revision: str, file: "RepoFile", limit: int) -> bytes:
        if file.size > limit:
            raise PublishError(
                f"{self.name}: {file.path} at {revision} has {file.size:,} bytes;"
                f" no more than {limit:,} are read"
            )
        data = again(lambda: self._get(revision, file.path, file.size))
        if not _is(data, file):
            raise PublishError(
                f"{self.name}: {file.path} at {revision} came with another hash than the Hub lists; try again"
            )
        return data

    def _get(self, revision: str, name: str, size: int) -> bytes:
        """The first `size` bytes of a file, and one more if there is."""
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import (  # type: ignore[attr-defined]
            build_hf_headers,
            hf_raise_for_status,
        )

        url = hf_hub_url(self.name, name, revision=revision, endpoint=self._api.endpoint)
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        data = bytearray()
        with get_session().stream("GET", url, headers=headers) as response:
            if response.is_error:
                response.read()  # the client tells the reason from it
            hf_raise_for_status(response)
            for part in response.iter_bytes():
                data += part
                if len(data) > size:
                    break
        return bytes(data[: size + 1])


def _may_be(file: "RepoFile", wanted: Entry) -> bool:
    """Whether a file is the wanted one by what the Hub lists of it."""
    return file.size == wanted.size and (file.lfs is None or file.lfs.sha256 == wanted.sha256)


def _is(data: bytes, file: "RepoFile") -> bool:
    from huggingface_hub.utils.sha import git_hash

    if file.lfs:
        return hashlib.sha256(data).hexdigest() == file.lfs.sha256
    return bool(git_hash(data) == file.blob_id)
