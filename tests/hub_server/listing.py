"""What there is: repositories, files, commits."""

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from .repository import Repo, Tree
from .server import HubServer
from .web import Answer, Refusal, Request, json_answer


def info(hub: HubServer, request: Request, repo: Repo, revision: str | None = None) -> Any:
    commit = repo.resolve(revision or "main")
    latest = repo.commit_info(commit)
    settings = repo.settings
    return {
        "id": repo.name,
        "author": repo.name.split("/")[0],
        "sha": commit,
        "private": settings["private"],
        "gated": settings["gated"],
        "disabled": False,
        "createdAt": settings["created"],
        "lastModified": latest["date"],
        "tags": [],
        "siblings": [
            _sibling(hub.told(path, e), request.asks("blobs")) for path, e in latest["tree"].items()
        ],
    }


def _sibling(told: dict[str, Any], blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": told["path"]}
    lfs = told.get("lfs")
    more = {"lfs": {"sha256": lfs["oid"], **{k: lfs[k] for k in ("size", "pointerSize")}}} if lfs else {}
    return {"rfilename": told["path"], "size": told["size"], "blobId": told["oid"]} | more


def tree(hub: HubServer, request: Request, repo: Repo, revision: str, path: str | None = None) -> Answer:
    commit = repo.resolve(revision)
    found = _beneath(hub, repo.commits[commit], path or "", request.asks("recursive"))
    if path and not found:
        raise Refusal(404, "EntryNotFound", f"{path} does not exist on {revision}")
    page, headers = _page(hub, request, found)
    return json_answer(_listed(repo, commit, page, request.asks("expand")), headers=headers)


def paths_info(hub: HubServer, request: Request, repo: Repo, revision: str) -> Any:
    """Files and folders of these names; what is not there is left out."""
    commit, form = repo.resolve(revision), request.form()
    wanted = {path.rstrip("/") for path in form.get("paths", [])}
    found = [entry for entry in _beneath(hub, repo.commits[commit], "", True) if entry["path"] in wanted]
    return _listed(repo, commit, found, form.get("expand", [""])[-1].lower() == "true")


def commits(hub: HubServer, request: Request, repo: Repo, revision: str) -> Answer:
    log = list(repo.history(repo.resolve(revision)))
    page, headers = _page(hub, request, log)
    keys = ("id", "title", "message", "date")
    told = [{k: c[k] for k in keys} | {"authors": [{"user": u} for u in c["authors"]]} for c in page]
    if request.value("expand[]") == "formatted":
        told = [c | {"formatted": {"title": c["title"], "message": c["message"]}} for c in told]
    return json_answer(told, headers=headers | {"X-Total-Count": str(len(log))})


def _beneath(hub: HubServer, files: Tree, folder: str, recursive: bool) -> list[dict[str, Any]]:
    """Files and folders in a folder, by path; what is deeper only if `recursive`."""
    inside = f"{folder.rstrip('/')}/" if folder else ""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(files):
        if not path.startswith(inside):
            continue
        names = path[len(inside) :].split("/")
        for depth in range(1, len(names) if recursive else min(len(names), 2)):
            above = inside + "/".join(names[:depth])
            found[above] = {"type": "directory", "path": above, "size": 0, "oid": _tree_oid(files, above)}
        if recursive or len(names) == 1:
            found[path] = hub.told(path, files[path])
    return [found[path] for path in sorted(found)]


def _tree_oid(files: Tree, folder: str) -> str:
    """A hash of what a folder holds; not git's, which nobody compares."""
    held = [(path, entry["oid"]) for path, entry in sorted(files.items()) if path.startswith(f"{folder}/")]
    return hashlib.sha1(repr(held).encode()).hexdigest()


def _listed(repo: Repo, commit: str, entries: Sequence[dict[str, Any]], expand: bool) -> list[dict[str, Any]]:
    return [entry | (_expanded(repo, commit, entry) if expand else {}) for entry in entries]


def _expanded(repo: Repo, commit: str, entry: dict[str, Any]) -> dict[str, Any]:
    last = repo.last_change(commit, entry["path"])
    told: dict[str, Any] = {"lastCommit": {key: last[key] for key in ("id", "title", "date")}}
    if entry["type"] == "file":
        scans = {"status": "safe", "avScan": None, "pickleImportScan": None}
        told["securityFileStatus"] = scans
    return told


def _page(hub: HubServer, request: Request, found: list[Any]) -> tuple[list[Any], dict[str, str]]:
    """The part that was asked for, and the link to the next one."""
    start = int(request.value("cursor") or 0)
    stop = start + int(request.value("limit") or hub.page_size)
    if stop >= len(found):
        return found[start:], {}
    flags = {name: request.value(name) for name in ("recursive", "expand", "expand[]", "limit")}
    query = urlencode({name: value for name, value in flags.items() if value} | {"cursor": stop})
    return found[start:stop], {"Link": f'<{hub.url}{request.path}?{query}>; rel="next"'}
