"""Branches and tags."""

import re
from typing import Any

from .disk import exclusive
from .repository import Repo
from .server import HubServer
from .web import Refusal, Request

NAME = re.compile(r"(?!refs/|-|/|\.)(?!.*(\.\.|//|@\{|\.lock$|/$|\.$))[^\s~^:?*\[\\\x00-\x1f\x7f]+")
"""What git takes for the name of a branch or tag, and refs/... besides."""


def refs(hub: HubServer, request: Request, repo: Repo) -> Any:
    def told(where: str, names: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": n, "ref": f"refs/{where}/{n}", "targetCommit": c} for n, c in names.items()]

    found: dict[str, Any] = {"branches": told("heads", repo.branches), "tags": told("tags", repo.tags)}
    if request.asks("include_prs"):
        pulls = {number: pull["commit"] for number, pull in repo.pulls.items()}
        found["pullRequests"] = [e | {"name": e["ref"]} for e in told("pr", pulls)]
    return found | {"converts": []}


def create_tag(hub: HubServer, request: Request, repo: Repo, revision: str) -> Any:
    said = request.json()
    tag = _named(said["tag"])
    with exclusive(hub.folder):
        if tag in repo.tags:
            raise Refusal(409, message=f"Tag {tag} already exists")
        made = {"commit": repo.resolve(revision), "message": said.get("message")}
        repo.save(tags=repo.state["tags"] | {tag: made})
    return {}


def delete_tag(hub: HubServer, request: Request, repo: Repo, tag: str) -> Any:
    with exclusive(hub.folder):
        tags = repo.state["tags"]
        if tag not in tags:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {tag}")
        repo.save(tags={name: made for name, made in tags.items() if name != tag})
    return {}


def create_branch(hub: HubServer, request: Request, repo: Repo, branch: str) -> Any:
    said = request.json() if request.body else {}
    _named(branch)
    with exclusive(hub.folder):
        if branch in repo.branches:
            raise Refusal(409, message=f"Reference {branch} already exists")
        commit = repo.resolve(said.get("startingPoint") or "main")
        repo.save(branches=repo.branches | {branch: commit})
    return {}


def delete_branch(hub: HubServer, request: Request, repo: Repo, branch: str) -> Any:
    with exclusive(hub.folder):
        branches = repo.branches
        if branch == "main":
            raise Refusal(403, message="The branch main cannot be deleted")
        if branch not in branches:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        repo.save(branches={name: commit for name, commit in branches.items() if name != branch})
    return {}


def _named(name: str) -> str:
    if not NAME.fullmatch(name):
        raise Refusal(400, message=f"Invalid reference name: {name}")
    return name
