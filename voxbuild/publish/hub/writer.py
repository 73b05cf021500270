"""Changing a repository on the Hub, whole or not at all.

A response may be lost, so after an error the repository is read again to see whether the change was made.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from voxbuild.errors import PublishError
from voxrun.trust.manifest import Entry

from .client import WAITS, again, is_missing, pause, plain, sentence
from .reader import MAIN, HubFiles

if TYPE_CHECKING:
    from huggingface_hub.hf_api import HfApi

CONFLICT = "; there was another commit at the same time: check it and publish again"
UNKNOWN = "it is unknown whether the commit was made; publish again, which checks first"
CLOSED = ("closed", "merged")
Additions = Callable[[], list[Any]]
"""Makes the client's operations that add the wanted files, new ones for each try."""


class OvertakenError(PublishError):
    """There was another commit at the same time; nothing was changed."""


class HubRepo(HubFiles):
    """One repository. Its methods raise the client's errors and PublishError."""

    def __init__(self, api: "HfApi", repo: str, private: bool = False) -> None:
        super().__init__(api, repo, private)
        self._made: dict[str, str] = {}
        """Branch that was created -> description, for `standing`."""

    def create(self) -> None:
        """Create the repository, unless it exists. Raises PublishError as `head` does."""
        if not self.exists():
            self._made[MAIN] = "the empty repository"
            private = self._private or None  # None: as the Hub's settings of the namespace say
            again(lambda: self._api.create_repo(self.name, private=private, exist_ok=True))

    def create_branch(self, branch: str, commit: str | None = None) -> None:
        """Create the branch, from a commit or (None) from main, unless it exists."""
        if branch not in self.refs().branches:
            self._made[branch] = f"the branch {branch}, equal to main"
            again(lambda: self._api.create_branch(self.name, branch=branch, revision=commit, exist_ok=True))

    def commit(
        self,
        message: str,
        wanted: Mapping[str, Entry],
        additions: Additions,
        branch: str,
        head: str | None = None,
        prune: bool = False,
    ) -> str:
        """Make a branch hold the wanted files, by one commit at most; return the commit with them.

        The commit removes what an earlier release put there; files of others are kept, unless `prune`. After
        an error the branch is read again: if it holds the files, all is well; if it is still at `head`
        (None: as it was at first), the commit is tried again, with that as its parent. Raises OvertakenError
        if there is another commit.
        """
        head = head or self.head(branch)
        gone = self._unwanted(head, wanted, prune)
        if not self.differences(head, wanted, without=gone):
            return head
        for wait in (*WAITS, None):
            try:
                made = self._commit(message, gone, additions, head, revision=branch)
                break
            except Exception as error:
                made = self._head_after(branch, error)
                if made != head and not self.differences(made, wanted, without=gone):
                    break
                if made != head:
                    raise OvertakenError(f"{self.name}: {sentence(error)}{CONFLICT}") from error
                if wait is None:
                    raise
                pause(error, wait)
        if different := self.differences(made, wanted, without=gone):
            raise PublishError(
                f"{self.name}: commit {made} does not hold what was sent: {plain(', '.join(different))};"
                " nothing was tagged; if a file has changed, build again; publish again"
            )
        return made

    def _unwanted(self, revision: str, wanted: Mapping[str, Entry], prune: bool) -> set[str]:
        """The files that a commit with the wanted ones removes."""
        if prune:
            return self.names(revision) - wanted.keys()
        return self.beside(revision, wanted).stale

    def request(
        self, message: str, wanted: Mapping[str, Entry], additions: Additions, prune: bool = False
    ) -> str:
        """Open a pull request on main with the wanted files, unless there is one; return its ref.

        Raises PublishError if main itself holds them.
        """
        head, failure = self.head(), None
        gone = self._unwanted(head, wanted, prune)
        if not self.differences(head, wanted, without=gone):
            raise PublishError(f"{self.name}: {MAIN} already holds this release; there is nothing to request")
        if ref := self._requested(wanted, gone):
            return ref
        try:
            self._commit(message, gone, additions, head, create_pr=True)
        except Exception as error:  # only the response may be lost
            failure = error
        if ref := self._requested(wanted, gone):
            return ref
        raise failure or PublishError(f"{self.name}: the pull request does not hold what was sent")

    def _requested(self, wanted: Mapping[str, Entry], gone: Collection[str] = ()) -> str | None:
        """The ref of a pull request with the wanted files, without those in `gone`, not closed or merged."""

        def closed() -> set[str]:
            requests = self._api.get_repo_discussions(self.name, discussion_type="pull_request")
            return {f"refs/pr/{request.num}" for request in requests if request.status in CLOSED}

        refs = again(lambda: self._api.list_repo_refs(self.name, include_pull_requests=True))
        found = {request.ref: request.target_commit for request in refs.pull_requests or ()}
        ended = again(closed) if found else set()
        opened = {ref: commit for ref, commit in found.items() if ref not in ended}
        return next(
            (ref for ref, commit in opened.items() if not self.differences(commit, wanted, (), gone)), None
        )

    def _commit(
        self, message: str, gone: Collection[str], additions: Additions, parent: str, **where: Any
    ) -> str:
        from huggingface_hub import CommitOperationDelete

        title, _, description = message.partition("\n\n")
        made = self._api.create_commit(
            self.name,
            [*(CommitOperationDelete(name) for name in sorted(gone)), *additions()],
            commit_message=title,
            commit_description=description,
            parent_commit=parent,
            **where,
        )
        return str(made.oid)

    def tag(self, name: str, commit: str, message: str | None = None) -> bool:
        """Put a tag on a commit; return False if the tag is on another commit."""
        try:
            again(lambda: self._api.create_tag(self.name, tag=name, revision=commit, tag_message=message))
        except Exception:  # the tag may exist nevertheless
            found = self.refs().tags.get(name)
            if found is None:
                raise
            return found == commit
        return True

    def standing(self, wanted: Mapping[str, Entry], branch: str, request: bool) -> str:
        """What an interrupted publish to a branch, or as a pull `request`, has left on the Hub."""
        try:
            return f"{self.name}: {self._standing(wanted, branch, request)}"
        except (Exception, KeyboardInterrupt):  # a second Ctrl-C ends this too
            return f"{self.name}: {UNKNOWN}"

    def _standing(self, wanted: Mapping[str, Entry], branch: str, request: bool) -> str:
        there = [made for where, made in self._made.items() if self.exists(where)]
        if request and self.exists(MAIN) and (ref := self._requested(wanted)):
            return f"the pull request {ref} holds the release"
        if not request and self.exists(branch) and not self.differences(self.head(branch), wanted):
            to_do = "verify and tag" if branch == MAIN else "verify"
            return f"{branch} holds the release; publish again to {to_do} it"
        but = f" but {' and '.join(there)}" if there else ""
        return f"nothing was published{but}; if a commit was still being made, the next publish finds it"

    def _head_after(self, branch: str, error: Exception) -> str:
        """The head of the branch after an error."""
        try:
            return self.head(branch)
        except Exception as second:
            if isinstance(second, PublishError) or is_missing(second):
                raise
            raise PublishError(
                f"{self.name}: {sentence(error)}; and then {sentence(second)}: {UNKNOWN}"
            ) from second
