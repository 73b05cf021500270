"""What changes a repository: the question how to upload, and the commit."""

import base64
import fnmatch
import json
from typing import Any

from . import pulls
from .disk import exclusive
from .repository import Repo, Tree
from .server import HubServer
from .web import Refusal, Request

LARGE = ["*.bin", "*.ckpt", "*.gguf", "*.npz", "*.onnx", "*.pt", "*.pth", "*.safetensors", "*.zip"]
ATTRIBUTES = "".join(f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LARGE)
"""The .gitattributes a new repository begins with; not all of the Hub's."""


def preupload(hub: HubServer, request: Request, repo: Repo, revision: str) -> Any:
    """For each file whether it goes by LFS: by its name, its size, or because its first bytes are no text."""
    said = request.json()
    there = repo.commits[repo.resolve(revision)]
    ignored = [line for line in said.get("gitIgnore", "").split() if not line.startswith("#")]
    return {
        "files": [
            {
                "path": file["path"],
                "uploadMode": "lfs" if _large(hub, file) else "regular",
                "shouldIgnore": any(fnmatch.fnmatch(file["path"], pattern) for pattern in ignored),
                "oid": _known(there.get(file["path"])),
            }
            for file in said["files"]
        ]
    }


def _large(hub: HubServer, file: dict[str, Any]) -> bool:
    by_name = any(fnmatch.fnmatch(file["path"], pattern) for pattern in LARGE)
    return by_name or file["size"] > hub.lfs_threshold or b"\0" in base64.b64decode(file["sample"])


def _known(entry: dict[str, Any] | None) -> str | None:
    return None if entry is None else str(entry["sha256"] if "lfs" in entry else entry["oid"])


def commit(hub: HubServer, request: Request, repo: Repo, revision: str) -> Any:
    """One commit on a branch or pull request; with ?create_pr=1 on a new one."""
    try:
        lines = [json.loads(line) for line in request.body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
    except (ValueError, KeyError, StopIteration):
        raise Refusal(400, message="the commit is not one JSON object a line with a header") from None
    title, message = header["summary"], header.get("description", "")
    with exclusive(hub.folder):
        if request.asks("create_pr"):
            base = repo.resolve(header.get("parentCommit") or revision)
            made = _made(hub, repo, lines, base, (title, message, request.user))
            number = pulls.opened(
                hub, repo, made, base, title=title, description=message, author=request.user
            )
            return _told(hub, repo, made) | {"pullRequestUrl": pulls.url(hub, repo, number)}
        head = _head(repo, revision)
        if not head.startswith(header.get("parentCommit") or ""):
            raise Refusal(412, message="A commit has happened since. Please refresh and try again.")
        made = _made(hub, repo, lines, head, (title, message, request.user))
        _move(repo, revision, made)
    return _told(hub, repo, made)


def _head(repo: Repo, revision: str) -> str:
    """The commit of what can be committed to: a branch, or an open pull request."""
    number = revision.removeprefix("refs/pr/")
    if revision not in repo.branches and number not in repo.pulls:
        raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return repo.resolve(revision)


def _move(repo: Repo, revision: str, commit: str) -> None:
    if revision in repo.branches:
        return repo.save(branches=repo.branches | {revision: commit})
    found, number = repo.pulls, revision.removeprefix("refs/pr/")
    repo.save(pulls=found | {number: found[number] | {"commit": commit}})


def _told(hub: HubServer, repo: Repo, commit: str) -> dict[str, Any]:
    prefix = "" if repo.kind == "models" else f"{repo.kind}/"
    address = f"{hub.url}/{prefix}{repo.name}/commit/{commit}"
    return {"commitOid": commit, "commitUrl": address, "success": True}


def _made(
    hub: HubServer, repo: Repo, lines: list[dict[str, Any]], parent: str, said: tuple[str, str, str]
) -> str:
    tree = repo.commits[parent]
    for line in lines:
        if line["key"] != "header":
            _apply(hub, tree, line["key"], line["value"])
    return hub.new_commit(repo, tree, parent, *said)


def _apply(hub: HubServer, tree: Tree, key: str, value: dict[str, Any]) -> None:
    path = value["path"]
    if key == "file":
        tree[path] = hub.store(base64.b64decode(value["content"]), lfs=False)
    elif key == "lfsFile":
        tree[path] = _pointed(hub, path, value)
    elif key == "deletedFile":
        if path not in tree:
            raise Refusal(404, "EntryNotFound", f"A file with this name doesn't exist: {path}")
        del tree[path]
    elif key == "deletedFolder":
        inside = [name for name in tree if name.startswith(f"{path.rstrip('/')}/")]
        if not inside:
            raise Refusal(404, "EntryNotFound", f"A folder with this name doesn't exist: {path}")
        for name in inside:
            del tree[name]
    else:
        raise Refusal(400, message=f"{key} is no operation of a commit")


def _pointed(hub: HubServer, path: str, value: dict[str, Any]) -> dict[str, Any]:
    """A file whose bytes must have come before. A copy within the Hub says no size."""
    blob = hub.blob(value["oid"])
    if not blob.exists() or value.get("size", blob.stat().st_size) != blob.stat().st_size:
        raise Refusal(400, message=f"{path}: an LFS pointer pointed to a file that does not exist")
    return hub.entry(value["oid"], lfs=True)
