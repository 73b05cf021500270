"""The tags of a repository on the Hub: which came after which, and withdrawing one."""

import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE
from voxbuild.errors import MissingError, PublishError
from voxbuild.publish.target import REASONS, Version
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import WITHDRAWN

from .client import plain
from .reader import MAIN
from .writer import HubRepo, OvertakenError

T = TypeVar("T")

FILE = "withdrawn.json"
"""On the branch of reasons: tag -> why it was withdrawn. The mark's own message cannot be read back."""
UNTOLD = "no reason is told"
LIMIT = 2**22
"""Bytes."""
TRIES = 5


def versions(repo: HubRepo, head: str = MAIN) -> list[Version]:
    """The tags, newest first: by the order of main's commits; what is not on main comes last."""
    refs, commits = repo.refs(), repo.commits(head)
    place = {commit.commit_id: index for index, commit in enumerate(commits)}
    dates = {commit.commit_id: commit.created_at.isoformat() for commit in commits}
    tags = {tag: commit for tag, commit in refs.tags.items() if not tag.startswith(WITHDRAWN)}
    names = sorted(sorted(tags, reverse=True), key=lambda tag: place.get(tags[tag], len(commits)))
    told = reasons(repo, refs.branches.get(REASONS))
    withdrawn = {tag: told.get(tag) or UNTOLD for tag in names if WITHDRAWN + tag in refs.tags}
    latest = _latest(repo, tags, sorted(names, key=lambda tag: tag in withdrawn), head)
    return [
        Version(plain(tag), tags[tag], dates.get(tags[tag], ""), tag == latest, withdrawn.get(tag))
        for tag in names
    ]


def _latest(repo: HubRepo, tags: Mapping[str, str], names: list[str], head: str) -> str | None:
    """The first of these tags with the manifest, and the signature, that main has."""
    held = repo.blobs(head, MANIFEST, SIGNATURE)
    if MANIFEST not in held:
        return None
    return next((tag for tag in names if repo.blobs(tags[tag], MANIFEST, SIGNATURE) == held), None)


def reasons(repo: HubRepo, commit: str | None) -> dict[str, str]:
    """Tag -> why it was withdrawn, by a commit of the branch of reasons, if there is one."""
    if commit is None or FILE not in repo.blobs(commit, FILE):
        return {}
    try:
        return {
            tag: plain(reason) for tag, reason in dict(json.loads(repo.read(commit, FILE, LIMIT))).items()
        }
    except (ValueError, TypeError) as error:
        raise PublishError(
            f"{repo.name}: {FILE} on its branch {REASONS} is no table of reasons; mend it, or delete"
            " the branch"
        ) from error


def withdraw(repo: HubRepo, tag: str, reason: str) -> str | None:
    """Mark a tag, and let main be the newest one that is not withdrawn, or empty; return that one.

    What somebody else put on main stays there. Raises MissingError if there is no such tag.
    """
    tags = repo.refs().tags
    names = sorted(name for name in tags if not name.startswith(WITHDRAWN))
    if tag not in names:
        raise MissingError(f"{repo.name}: there is no tag {tag}; there are: {plain(', '.join(names))}")
    _undisturbed(partial(_tell, repo, tag, reason))
    if not repo.tag(WITHDRAWN + tag, tags[tag], reason):
        raise PublishError(f"{repo.name}: the tag {WITHDRAWN + tag} is on another commit than {tag}")
    return _undisturbed(partial(_settle, repo, _withdrawal(tag, reason)))


def _undisturbed(change: Callable[[], T]) -> T:
    """Change what is there; if somebody else was faster, what they made of it."""
    for _ in range(TRIES):
        try:
            return change()
        except OvertakenError:
            continue
    return change()


def _withdrawal(tag: str, reason: str) -> str:
    return f"Withdraw {tag}\n\n{reason}"


def _tell(repo: HubRepo, tag: str, reason: str) -> None:
    """Write down why, for all to read. What was written down first stays."""
    from huggingface_hub import CommitOperationAdd

    if REASONS not in repo.refs().branches:
        repo.create_branch(REASONS, repo.commits()[-1].commit_id)
    head = repo.head(REASONS)
    told = reasons(repo, head)
    if tag not in told:
        data = json.dumps(told | {tag: reason}, indent=2).encode()
        wanted = {FILE: Entry(len(data), hashlib.sha256(data).hexdigest())}
        repo.commit(_withdrawal(tag, reason), wanted, lambda: [CommitOperationAdd(FILE, data)], REASONS, head)


def _settle(repo: HubRepo, message: str) -> str | None:
    """Put the newest version that is not withdrawn on main, if another one is there, or none of any kind.

    The head is read before the tags: a release that they do not tell of yet is upon another head.
    """
    head = repo.head()
    found = versions(repo, head)
    held = next((version for version in found if version.latest), None)
    kept = next((version for version in found if version.withdrawn is None), None)
    if held is not kept and (held or not repo.names(head)):
        _put_back(repo, kept.commit if kept else None, message, head)
    return kept.tag if kept else None


def _put_back(repo: HubRepo, commit: str | None, message: str, head: str) -> None:
    """Make main hold what a commit holds, or nothing; the files are copied on the Hub."""
    from huggingface_hub import CommitOperationCopy

    wanted = repo.files(commit) if commit else {}

    def copies() -> list[Any]:
        return [CommitOperationCopy(name, name, src_revision=commit) for name in sorted(wanted)]

    repo.commit(message, wanted, copies, MAIN, head)
