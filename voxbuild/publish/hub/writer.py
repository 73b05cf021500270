"""A repository on the Hub, changed: whole or not at all, and whatever the answers, by what is there then."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from voxbuild.errors import PublishError
from voxrun.trust.manifest import Entry

from .client import WAITS, again, is_missing, pause, plain, sentence
from .reader import MAIN, HubFiles

if TYPE_CHECKING:
    from huggingface_hub.hf_api import HfApi

THEIRS = "; meanwhile somebody else committed to it: look at that and publish again"
UNSEEN = "whether the commit was made could not be seen; publish again, which looks first"
CLOSED = ("closed", "merged")
Additions = Callable[[], list[Any]]
"""Makes the client's operations that put the wanted files there; anew for each try."""


class OvertakenError(PublishError):
    """Somebody else's commit came in between; nothing was changed."""


class HubRepo(HubFiles):
    """One repository. What its methods raise is the client's, but for what PublishError says better."""

    def __init__(self, api: "HfApi", repo: str) -> None:
        super().__init__(api, repo)
        self._made: dict[str, str] = {}
        """Branches that were not there, and what came into being with them."""

    def create(self) -> None:
        """Have the repository: public if it is new. One that was renamed is not made anew."""
        if not self.is_there():
            self._made[MAIN] = "the repository, empty"
            again(lambda: self._api.create_repo(self.name, exist_ok=True))

    def create_branch(self, branch: str, commit: str | None = None) -> None:
        """Have the branch; if it is new: from a commit, or from main."""
        if branch not in self.refs().branches:
            self._made[branch] = f"the branch {branch}, as main is"
            again(lambda: self._api.create_branch(self.name, branch=branch, revision=commit, exist_ok=True))

    def commit(
        self,
        message: str,
        wanted: Mapping[str, Entry],
        additions: Additions,
        branch: str,
        head: str | None = None,
    ) -> str:
        """Make a branch hold the wanted files alone, by one commit if it does not; return the one that does.

        The answer is not relied on: after any error the branch is read, and what is there decides. Only a
        branch that still is what it was before, or is the `head` that was given, is tried again, and the
        commit names it as its parent. Raises OvertakenError if it is another by then.
        """
        head = head or self.head(branch)
        if not self.differences(head, wanted):
            return head
        for wait in (*WAITS, None):
            try:
                made = self._commit(message, wanted, additions, head, revision=branch)
                break
            except Exception as error:
                made = self._look(branch, error)
                if made != head and not self.differences(made, wanted):
                    break
                if made != head:
                    raise OvertakenError(f"{self.name}: {sentence(error)}{THEIRS}") from error
                if wait is None:
                    raise
                pause(error, wait)
        self._verify(made, wanted)
        return made

    def request(self, message: str, wanted: Mapping[str, Entry], additions: Additions) -> str:
        """Have an open pull request on main that holds the wanted files; return its ref.

        Raises PublishError if main itself holds them.
        """
        head, failure = self.head(), None
        if not self.differences(head, wanted):
            raise PublishError(f"{self.name}: {MAIN} holds all of it, there is nothing to request")
        if ours := self._requested(wanted):
            return ours
        try:
            self._commit(message, wanted, additions, head, create_pr=True)
        except Exception as error:  # its answer may be lost
            failure = error
        if ours := self._requested(wanted):
            return ours
        raise failure or PublishError(f"{self.name}: the pull request does not hold what was sent")

    def _requested(self, wanted: Mapping[str, Entry]) -> str | None:
        """The ref of a pull request that holds the wanted files and is neither closed nor merged."""
        refs = again(lambda: self._api.list_repo_refs(self.name, include_pull_requests=True))
        found = {request.ref: request.target_commit for request in refs.pull_requests or ()}
        for ended in again(lambda: self._ended()) if found else ():
            found.pop(ended, None)
        return next((ref for ref, commit in found.items() if not self.differences(commit, wanted)), None)

    def _ended(self) -> list[str]:
        requests = self._api.get_repo_discussions(self.name, discussion_type="pull_request")
        return [f"refs/pr/{request.num}" for request in requests if request.status in CLOSED]

    def _commit(
        self, message: str, wanted: Mapping[str, Entry], additions: Additions, parent: str, **where: Any
    ) -> str:
        from huggingface_hub import CommitOperationDelete

        stale = sorted(self.names(parent) - set(wanted))
        title, _, description = message.partition("\n\n")
        made = self._api.create_commit(
            self.name,
            [*(CommitOperationDelete(name) for name in stale), *additions()],
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
            found = self.refs().tags.get(name)
            if found is None:
                raise
            return found == commit
        return True

    def standing(self, wanted: Mapping[str, Entry], branch: str, request: bool) -> str:
        """Of a publish to a branch, or a `request`, that was interrupted: what of it there is to be seen."""
        try:
            return f"{self.name}: {self._standing(wanted, branch, request)}"
        except (Exception, KeyboardInterrupt):  # whoever is in such a hurry gets an answer anyway
            return f"{self.name}: {UNSEEN}"

    def _standing(self, wanted: Mapping[str, Entry], branch: str, request: bool) -> str:
        there = [made for where, made in self._made.items() if self.is_there(where)]
        if request and self.is_there(MAIN) and (ref := self._requested(wanted)):
            return f"the pull request {ref} holds it"
        if not request and self.is_there(branch) and not self.differences(self.head(branch), wanted):
            return f"{branch} holds it; publish again to verify {'and tag ' if branch == MAIN else ''}it"
        but = f" but {' and '.join(there)}" if there else ""
        return f"nothing of it is there{but}; if a commit was on its way, the next finds it"

    def _verify(self, commit: str, wanted: Mapping[str, Entry]) -> None:
        if different := self.differences(commit, wanted):
            raise PublishError(
                f"{self.name}: commit {commit} does not hold what was sent: {plain(', '.join(different))};"
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
