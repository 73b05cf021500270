"""The tags of a repository on the Hub: their order, and withdrawing one."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from voxbuild.artifact.manifest import MANIFEST, SIGNATURE
from voxbuild.errors import MissingError, PublishError
from voxbuild.publish.target import Version
from voxbuild.recipes.hub_terms import REASONS
from voxrun.trust.manifest import Entry
from voxrun.trust.registry import WITHDRAWN

from .client import plain
from .reader import MAIN
from .writer import HubRepo, OvertakenError

T = TypeVar("T")

FILE = "withdrawn.json"
"""On the branch REASONS: tag -> why it was withdrawn. The client cannot read the message of a tag."""
NO_REASON = "no reason was recorded"
LIMIT = 2**22
"""Bytes."""
TRIES = 5


def versions(repo: HubRepo, head: str = MAIN) -> list[Version]:
    """The tags, newest first by the order of main's commits; tags that are not on main come last."""
    refs, commits = repo.refs(), repo.commits(head)
    place = {commit.commit_id: index for index, commit in enumerate(commits)}
    dates = {commit.commit_id: commit.created_at.isoformat() for commit in commits}
    tags = {tag: commit for tag, commit in refs.tags.items() if not tag.startswith(WITHDRAWN)}
    names = sorted(sorted(tags, reverse=True), key=lambda tag: place.get(tags[tag], len(commits)))
    known = reasons(repo, refs.branches.get(REASONS))
    withdrawn = {tag: known.get(tag) or NO_REASON for tag in names if WITHDRAWN + tag in refs.tags}
    latest = _latest(repo, tags, sorted(names, key=lambda tag: tag in withdrawn), head)
    return [
        Version(plain(tag), tags[tag], dates.get(tags[tag], ""), tag == latest, withdrawn.get(tag))
        for tag in names
    ]


def _latest(repo: HubRepo, tags: Mapping[str, str], names: list[str], head: str) -> str | None:
    """The first of these tags with the same manifest and signature as main."""
    held = repo.blobs(head, MANIFEST, SIGNATURE)
    if MANIFEST not in held:
        return None
    return next((tag for tag in names if repo.blobs(tags[tag], MANIFEST, SIGNATURE) == held), None)


def reasons(repo: HubRepo, commit: str | None) -> dict[str, str]:
    """Tag -> why it was withdrawn, from a commit of the branch REASONS; empty if there is none."""
    if commit is None or FILE not in repo.blobs(commit, FILE):
        return {}
    try:
        content = dict(json.loads(repo.read(commit, FILE, LIMIT)))
        return {tag: plain(reason) for tag, reason in content.items()}
    except (ValueError, TypeError) as error:
        raise PublishError(
            f"{repo.name}: {FILE} on its branch {REASONS} is not a table of reasons; repair it or delete"
            " the branch"
        ) from error


def withdraw(repo: HubRepo, tag: str, reason: str) -> str | None:
    """Mark a tag and put the newest release that is not withdrawn on main (or none); return its tag.

    If main holds none of the tags, it is left alone. Raises MissingError if there is no such tag.
    """
    tags = repo.refs().tags
    names = sorted(name for name in tags if not name.startswith(WITHDRAWN))
    if tag not in names:
        raise MissingError(f"{repo.name}: there is no tag {tag}; its tags: {plain(', '.join(names))}")
    message = f"Withdraw {tag}\n\n{reason}"
    _retried(lambda: _record_reason(repo, tag, reason, message))
    if not repo.tag(WITHDRAWN + tag, tags[tag], reason):
        raise PublishError(f"{repo.name}: the tags {WITHDRAWN + tag} and {tag} are on different commits")
    return _retried(lambda: _update_main(repo, message))


def _retried(change: Callable[[], T]) -> T:
    """The result of a change, made again after each commit of another process."""
    for _ in range(TRIES):
        try:
            return change()
        except OvertakenError:
            continue
    return change()


def _record_reason(repo: HubRepo, tag: str, reason: str, message: str) -> None:
    """Add the reason to the branch REASONS, unless it has one for the tag."""
    from huggingface_hub import CommitOperationAdd

    if REASONS not in repo.refs().branches:
        repo.create_branch(REASONS, repo.commits()[-1].commit_id)
    head = repo.head(REASONS)
    known = reasons(repo, head)
    if tag not in known:
        data = json.dumps(known | {tag: reason}, indent=2).encode()
        wanted = {FILE: Entry(len(data), hashlib.sha256(data).hexdigest())}
        repo.commit(message, wanted, lambda: [CommitOperationAdd(FILE, data)], REASONS, head)


def _update_main(repo: HubRepo, message: str) -> str | None:
    """Put the newest release that is not withdrawn on main, if main holds another or none; return its tag.

    Files of others on main are kept. The head is read before the tags, so that a concurrent release, not yet
    tagged, moves it and is kept.
    """
    from huggingface_hub import CommitOperationCopy

    head = repo.head()
    found = versions(repo, head)
    held = next((version for version in found if version.latest), None)
    kept, wanted = _newest_release(repo, found)
    if held is not kept and (held or not repo.names(head) & wanted.keys()):
        commit = kept.commit if kept else None

        def copies() -> list[Any]:
            return [CommitOperationCopy(name, name, src_revision=commit) for name in sorted(wanted)]

        repo.commit(message, wanted, copies, MAIN, head)
    return kept.tag if kept else None


def _newest_release(repo: HubRepo, found: list[Version]) -> tuple[Version | None, dict[str, Entry]]:
    """The newest tag that is not withdrawn and holds a release, with the release's files; or none."""
    for version in found:
        if version.withdrawn is None and (files := repo.release(version.commit)):
            return version, files
    return None, {}
