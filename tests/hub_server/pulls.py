"""Pull requests: refs/pr/N, numbered from 1."""

from typing import TYPE_CHECKING, Any

from .repository import Repo, Tree, iso
from .web import Refusal

if TYPE_CHECKING:
    from .server import HubServer


def opened(hub: "HubServer", repo: Repo, commit: str, base: str, **facts: Any) -> str:
    """Its number. Facts: title, description, author; status, if it is not open."""
    pulls = repo.pulls
    number = str(len(pulls) + 1)
    pull = {"commit": commit, "base": base, "status": "open", "date": iso(hub.now()), **facts}
    repo.save(pulls=pulls | {number: pull})
    return number


def url(hub: "HubServer", repo: Repo, number: str) -> str:
    prefix = "" if repo.kind == "models" else f"{repo.kind}/"
    return f"{hub.url}/{prefix}{repo.name}/discussions/{number}"


def merge(hub: "HubServer", repo: Repo, number: str) -> str:
    """Put what it changes on main, in one commit; the commit."""
    pulls = repo.pulls
    if number not in pulls:
        raise Refusal(404, message=f"there is no pull request {number}")
    pull = pulls[number]
    if pull["status"] != "open":
        raise Refusal(400, message=f"pull request {number} is {pull['status']}")
    trees, head = repo.commits, repo.head
    tree = _changed(trees[head], trees[pull["base"]], trees[pull["commit"]])
    commit = hub.new_commit(repo, tree, head, f"{pull['title']} (#{number})")
    merged = pull | {"status": "merged", "merge": commit}
    repo.save(branches=repo.branches | {"main": commit}, pulls=pulls | {number: merged})
    return commit


def _changed(main: Tree, base: Tree, head: Tree) -> Tree:
    """`main` with the changes from `base` to `head`."""
    gone = base.keys() - head.keys()
    new = {path: entry for path, entry in head.items() if base.get(path) != entry}
    return {path: entry for path, entry in main.items() if path not in gone} | new
