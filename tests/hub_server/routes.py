"""Which call is answered by what, and what it takes to be allowed."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from . import accounts, commits, discussions, files, lfs, listing, refs, xet
from .access import may_see
from .faults import Damage
from .repository import Repo
from .server import HubServer
from .web import Answer, Refusal, Request

NAME = r"(?P<name>[^/]+/[^/]+?)"
API = rf"/api/(?P<kind>models|datasets|spaces)/{NAME}"
SITE = rf"/(?:(?P<kind>datasets|spaces)/)?{NAME}"
REV = r"([^/]+)"
OBJECT = r"/lfs/([0-9a-f]{64})/(\d+)"


@dataclass(frozen=True)
class Route:
    """`needs`: nothing, read (the repository, where there is one, may be seen), write, or propose."""

    call: str
    needs: str
    answer: Any


ROUTES = [
    Route(r"GET /api/whoami-v2", "login", accounts.whoami),
    Route(r"POST /api/validate-yaml", "", accounts.validate_yaml),
    Route(r"POST /api/repos/create", "login", accounts.create),
    Route(r"DELETE /api/repos/delete", "login", accounts.delete),
    Route(r"POST /api/repos/move", "login", accounts.move),
    Route(rf"GET {API}/auth-check", "read", files.may),
    Route(rf"GET {API}/auth-check/write", "write", files.may),
    Route(rf"PUT {API}/settings", "write", accounts.settings),
    Route(rf"GET {API}/refs", "read", refs.refs),
    Route(rf"POST {API}/tag/{REV}", "write", refs.create_tag),
    Route(rf"DELETE {API}/tag/{REV}", "write", refs.delete_tag),
    Route(rf"POST {API}/branch/{REV}", "write", refs.create_branch),
    Route(rf"DELETE {API}/branch/{REV}", "write", refs.delete_branch),
    Route(rf"GET {API}/commits/{REV}", "read", listing.commits),
    Route(rf"GET {API}/tree/{REV}(?:/(.+))?", "read", listing.tree),
    Route(rf"POST {API}/paths-info/{REV}", "read", listing.paths_info),
    Route(rf"GET {API}(?:/revision/{REV})?", "read", listing.info),
    Route(rf"POST {API}/preupload/{REV}", "propose", commits.preupload),
    Route(rf"POST {API}/commit/{REV}", "propose", commits.commit),
    Route(rf"GET {API}/discussions", "read", discussions.listed),
    Route(rf"POST {API}/discussions", "propose", discussions.create),
    Route(rf"GET {API}/discussions/(\d+)", "read", discussions.details),
    Route(rf"POST {API}/discussions/(\d+)/merge", "write", discussions.merge),
    Route(rf"POST {API}/discussions/(\d+)/status", "write", discussions.status),
    Route(rf"POST {SITE}\.git/info/lfs/objects/batch", "propose", lfs.batch),
    Route(rf"POST {SITE}\.git/info/lfs/objects/verify", "propose", lfs.verify),
    Route(rf"PUT {OBJECT}", "", lfs.upload),
    Route(rf"PUT {OBJECT}/([0-9a-f]+)/(\d+)", "", lfs.upload_part),
    Route(rf"POST {OBJECT}/([0-9a-f]+)/complete", "", lfs.complete),
    Route(rf"GET {API}/xet-write-token/{REV}", "propose", xet.token),
    Route(rf"GET {API}/xet-read-token/{REV}", "read", xet.token),
    Route(r"GET /cas/v2/reconstructions/([0-9a-f]{64})", "login", xet.reconstruction),
    Route(r"GET /cas/xorbs/([0-9a-f]{64})", "", files.xorb),
    Route(r"POST /cas/v1/xorbs/default/([0-9a-f]{64})", "login", xet.xorb),
    Route(r"POST /cas/v([12])/shards", "login", xet.shard),
    Route(rf"(?:GET|HEAD) {SITE}/resolve/{REV}/(.+)", "read", files.resolve),
    Route(r"(?:GET|HEAD) /blobs/([0-9a-f]{64})", "", files.blob),
]
DOWNLOADS = (files.resolve, files.blob, files.xorb)


def answer(hub: HubServer, request: Request, damage: Damage | None) -> Any:
    """An Answer, or what becomes the JSON of one."""
    request.token = _token(hub, request)
    for route in ROUTES:
        if match := re.fullmatch(route.call, f"{request.method} {request.path}"):
            break
    else:
        raise Refusal(404, message="Not found")
    if route.needs in ("login", "write", "propose") and request.token is None:
        raise Refusal(401, message="Invalid username or password.")
    named = match.groupdict()
    groups = [unquote(g) if g else g for i, g in enumerate(match.groups(), 1) if i not in _named(match)]
    more = {"damage": damage} if route.answer in DOWNLOADS else {}
    if "name" not in named:
        return route.answer(hub, request, *groups, **more)
    kind, name = named["kind"] or "models", unquote(named["name"])
    if moved := _moved(hub, request, kind, name):
        return moved
    repo = _visible(hub, request, kind, name)
    _allow(route.needs, request, repo)
    return route.answer(hub, request, repo, *groups, **more)


def _named(match: re.Match[str]) -> set[int]:
    return set(match.re.groupindex.values())


def _token(hub: HubServer, request: Request) -> Any:
    said = request.headers.get("authorization") or ""
    if not said:
        return None
    token = hub.tokens.get(said.removeprefix("Bearer "))
    if token is None:
        raise Refusal(401, message="Invalid credentials in Authorization header")
    return token


def _moved(hub: HubServer, request: Request, kind: str, name: str) -> Answer | None:
    """The Hub answers an old name with 307 and the new one; clients ask there again, with method and body."""
    moves = hub.moves()
    new = f"{kind}/{name}"
    while new in moves and new not in hub.repos:
        new = moves[new]
    if new == f"{kind}/{name}":
        return None
    place = request.path.replace(f"/{name}", f"/{new.partition('/')[2]}", 1)
    return Answer(307, headers={"Location": place + (f"?{request.query}" if request.query else "")})


def _visible(hub: HubServer, request: Request, kind: str, name: str) -> Repo:
    repo = hub.repos.get(f"{kind}/{name}")
    if repo is None or not may_see(request.token, repo):
        raise Refusal(404 if request.token else 401, "RepoNotFound", "Repository not found")
    return repo


def _allow(needs: str, request: Request, repo: Repo) -> None:
    """Who may write somewhere may propose to every public repository: in a pull request."""
    if needs not in ("write", "propose"):
        return
    token = request.token
    if token is None or not token.writes:
        raise Refusal(403, message="you must use a write token to upload to a repository")
    elsewhere = request.path.endswith(("/discussions", "/batch", "/verify", "/xet-write-token/None"))
    proposes = needs == "propose" and (request.asks("create_pr") or elsewhere)
    if not proposes and not token.member(repo.name):
        raise Refusal(403, message="You don't have the required permissions")
