"""Downloads: resolve, and the other place that `redirects` leads to."""

import re
from typing import Any

from . import xet
from .access import may_download
from .faults import Damage
from .repository import Repo
from .server import HubServer
from .web import Answer, Refusal, Request

RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def resolve(
    hub: HubServer, request: Request, repo: Repo, revision: str, path: str, damage: Damage | None = None
) -> Answer:
    """A file, whole or in part. X-Linked-... tell of LFS files what the tree tells, whatever is served."""
    may(hub, request, repo)
    commit = repo.resolve(revision)
    tree = repo.commits[commit]
    if path not in tree:
        refusal = Refusal(404, "EntryNotFound", "Entry not found")
        refusal.headers["X-Repo-Commit"] = commit
        raise refusal
    entry = tree[path]
    data = (damage or bytes)(hub.blob(entry["sha256"]).read_bytes())
    told = hub.told(path, entry)
    headers = {"X-Repo-Commit": commit, "ETag": f'"{told["oid"]}"'}
    if "lfs" in told:
        headers |= {"X-Linked-Etag": f'"{told["lfs"]["oid"]}"', "X-Linked-Size": str(len(data))}
    headers |= xet.told(hub, entry["sha256"], f"{repo.kind}/{repo.name}", commit)
    if hub.signed is not None and "lfs" in told:  # HEAD, too, as on the Hub
        elsewhere = hub.url.replace("127.0.0.1", "localhost")
        place = f"{elsewhere}/blobs/{entry['sha256']}?signature={hub.signed}"
        return Answer(302, headers=headers | {"Location": place})
    if hub.redirects and request.method == "GET":
        return Answer(302, headers=headers | {"Location": f"{hub.url}/blobs/{entry['sha256']}"})
    return _part(hub, request, data, headers)


def may(hub: HubServer, request: Request, repo: Repo) -> Any:
    """Refuses those to whom the files are not given."""
    if not may_download(request.token, repo):
        raise Refusal(403 if request.token else 401, "GatedRepo", "Access to this repository is restricted")
    return {}


def blob(hub: HubServer, request: Request, sha256: str, damage: Damage | None = None) -> Answer:
    """The other place: whoever has a URL with a valid signature is given the file."""
    if token := request.headers.get("authorization"):
        hub.seen_elsewhere.append(token)
    if hub.signed is not None and request.value("signature") != str(hub.signed):
        raise Refusal(403, message="Request has expired")
    data = (damage or bytes)(hub.blob(sha256).read_bytes())
    return _part(hub, request, data, {"ETag": f'"{sha256}"'})


def xorb(hub: HubServer, request: Request, digest: str, damage: Damage | None = None) -> Answer:
    return _part(hub, request, (damage or bytes)((hub.folder / "xorbs" / digest).read_bytes()), {})


def _part(hub: HubServer, request: Request, data: bytes, headers: dict[str, Any]) -> Answer:
    """The bytes that were asked for: from-to, from-, or the last -n."""
    asked = RANGE.fullmatch(request.headers.get("range") or "")
    if not (asked and hub.ranges and any(asked.groups())):
        return Answer(200, data, headers | {"Accept-Ranges": "bytes"})
    first, last = asked.groups()
    start = int(first) if first else max(0, len(data) - int(last))
    stop = min(int(last) + 1, len(data)) if first and last else len(data)
    if start >= stop:
        return Answer(416, b"", headers | {"Content-Range": f"bytes */{len(data)}"})
    return Answer(206, data[start:stop], headers | {"Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"})
