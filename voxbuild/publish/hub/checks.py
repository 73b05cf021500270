"""What is checked before a repository is created or anything is sent; nothing is written.

Each check raises PublishError or the client's errors, or returns lines for the publisher.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from voxbuild.errors import PublishError
from voxbuild.publish.target import Destination, Release
from voxbuild.recipes.hub_terms import UNKNOWN

from .account import check_rights
from .client import again, is_missing, plain
from .reader import MAIN, in_the_way
from .writer import HubRepo

if TYPE_CHECKING:
    from huggingface_hub.hf_api import HfApi

SHOWN = 20
"""Files that a line lists."""


def check(
    api: "HfApi", repo: HubRepo, release: Release, destination: Destination, card: str | None
) -> list[str]:
    """All checks; `card` is the release's README.md, if it has one."""
    link = check_metadata(api, repo.name, card) if card is not None else None
    lines = [line for each in release.made_from for line in check_source(api, repo.name, each)]
    exists = repo.exists()
    lines += check_rights(api, repo.name, request=exists and destination.pull_request)
    check_branch(repo, release, destination, exists)
    there, beside = _beside(repo, release, destination) if exists else (set(), [])
    lines += [f"{repo.name}: {'an existing' if exists else 'a new'} repository, {repo.visibility}", *beside]
    if link and "://" not in link and link not in there:
        lines.append(
            f"{repo.name}: license_link names {plain(link)}, which is not there; add it, or give a URL"
        )
    return lines


def check_metadata(api: "HfApi", repo: str, card: str) -> str | None:
    """Let the Hub check the card's front matter, as when the card is sent; return its licence's link."""
    from huggingface_hub import ModelCard

    again(lambda: api._validate_yaml(card))
    metadata = ModelCard(card).data
    if metadata.get("license") == UNKNOWN:
        raise PublishError(f"{repo}: the licence is unknown; give license=ID, or `license:` in the source")
    link = metadata.get("license_link")
    return str(link) if link else None


def check_source(api: "HfApi", repo: str, source: str) -> list[str]:
    """Refuse a source that is private or gated: what is made from it is public only if that is asked for."""
    try:
        info = again(lambda: api.model_info(source))
    except Exception as error:
        if not is_missing(error):
            raise
        return [f"{repo}: the Hub shows no {source}, from which it was made, so it may be private"]
    if info.private or info.gated:
        kind = "private" if info.private else "gated"
        raise PublishError(
            f"{repo}: made from {source}, which is {kind}; publish it privately with private=yes, or publicly"
            " with private=no (`publish.private` in the recipe)"
        )
    return []


def check_branch(repo: HubRepo, release: Release, destination: Destination, exists: bool) -> None:
    """Refuse a branch for review that has the name of a tag."""
    branch = destination.branch
    if destination.is_main or not branch:
        return
    if branch == release.tag or (exists and branch in repo.refs().tags):
        raise PublishError(f"{repo.name}: {branch} is the name of a tag; choose another with branch=NAME")


def _beside(repo: HubRepo, release: Release, destination: Destination) -> tuple[set[str], list[str]]:
    """The files where the release goes, and what becomes of those that no release put there."""
    branch = destination.branch or MAIN
    head = repo.head(branch if repo.exists(branch) else MAIN)
    beside = repo.beside(head, release.files)
    there = set(beside.names)
    if not beside.foreign:
        return there, []
    listed = _listed(beside.foreign)
    if destination.prune:
        return there, [f"{repo.name}: removed, not of a release: {listed}"]
    if read := in_the_way(beside.foreign, release.files):
        raise PublishError(
            f"{repo.name}: not of a release of voxbuild, and would be read as a part of the model:"
            f" {plain(', '.join(read))}; remove them there, or let --prune remove all files of others"
        )
    return there, [] if beside.released else [_first(repo.name, listed, there & release.files.keys())]


def _first(repo: str, kept: str, replaced: Collection[str]) -> str:
    """What the first release in a repository finds there."""
    but = f"; replaced: {_listed(replaced)}" if replaced else ""
    return f"{repo}: holds no release yet; kept, not of a release: {kept}{but}"


def _listed(names: Collection[str]) -> str:
    """Names of files; of many, the first and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return plain(", ".join(sorted(names)[:SHOWN])) + more
