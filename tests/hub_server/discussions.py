"""Pull requests as the Hub's pages show them. Discussions of other kinds there are none."""

from typing import Any

from . import pulls
from .disk import exclusive
from .repository import Repo
from .server import HubServer
from .web import Refusal, Request


def listed(hub: HubServer, request: Request, repo: Repo) -> Any:
    """Newest first, on one page; ?status=open leaves out the merged and the closed."""
    status = request.value("status")
    found = [_told(repo, n, p) for n, p in repo.pulls.items() if status in ("", "all", p["status"])]
    return {"count": len(found), "start": 0, "discussions": found[::-1]}


def create(hub: HubServer, request: Request, repo: Repo) -> Any:
    """An empty pull request, a draft until it is opened; commits go to its ref."""
    said = request.json()
    if not said.get("pullRequest"):
        raise Refusal(501, message="there are no discussions here but pull requests")
    facts = {"title": said["title"], "description": said["description"], "author": request.user}
    with exclusive(hub.folder):
        number = pulls.opened(hub, repo, repo.head, repo.head, **facts, status="draft")
    return {"num": int(number)}


def details(hub: HubServer, request: Request, repo: Repo, number: str) -> Any:
    pull = _pull(repo, number)
    changes = {"base": "refs/heads/main", "mergeCommitId": pull.get("merge")}
    return _told(repo, number, pull) | {"changes": changes, "filesWithConflicts": [], "events": []}


def merge(hub: HubServer, request: Request, repo: Repo, number: str) -> Any:
    with exclusive(hub.folder):
        pulls.merge(hub, repo, number)
    return {}


def status(hub: HubServer, request: Request, repo: Repo, number: str) -> Any:
    """Open it again, or close it."""
    new = request.json()["status"]
    with exclusive(hub.folder):
        pull = _pull(repo, number)
        if pull["status"] == "merged" or new not in ("open", "closed"):
            raise Refusal(400, message=f"pull request {number} is {pull['status']} and cannot be {new}")
        repo.save(pulls=repo.pulls | {number: pull | {"status": new}})
    event = {"id": number, "type": "status-change", "createdAt": pull["date"], "data": {"status": new}}
    return {"newStatus": event | {"author": {"name": pull["author"]}}}


def _pull(repo: Repo, number: str) -> dict[str, Any]:
    if number not in repo.pulls:
        raise Refusal(404, message=f"there is no pull request {number}")
    return repo.pulls[number]


def _told(repo: Repo, number: str, pull: dict[str, Any]) -> dict[str, Any]:
    return {
        "num": int(number),
        "title": pull["title"],
        "status": pull["status"],
        "isPullRequest": True,
        "createdAt": pull["date"],
        "author": {"name": pull["author"]},
        "repo": {"name": repo.name, "type": repo.kind.removesuffix("s")},
    }
