"""A Hub on loopback for the genuine client: repositories, plain LFS uploads, commits, tags, downloads.

Blobs are files in a folder, named by their sha256; what commits hold is in memory. `calls` is what was
asked of it, `sent` how many bytes of which path went out; `fail` makes it answer with an error, `redirects`
sends files from another place, as the Hub does with large ones, and without `ranges` it sends them whole
whatever was asked. The protocol is what huggingface_hub says on the wire.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopback_secret"
Tree = dict[str, dict[str, Any]]


class Refusal(Exception):  # noqa: N818
    """An answer other than 200."""

    def __init__(self, status: int, code: str = "", **body: str) -> None:
        self.status, self.code, self.body = status, code, {"error": "refused"} | body


@dataclass
class Repo:
    """A repository: the files of each commit, and names for commits."""

    commits: dict[str, Tree] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    head: str = ""

    def commit(self, tree: Tree) -> str:
        self.head = hashlib.sha1(f"{self.head}{len(self.commits)}{sorted(tree)}".encode()).hexdigest()
        self.commits[self.head] = tree
        return self.head

    def resolve(self, revision: str) -> str:
        name = {"main": self.head, **self.tags}.get(revision, revision)
        if name not in self.commits:
            raise Refusal(404, "RevisionNotFound")
        return name


class HubServer:
    """The state, and what each route answers."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.repos = folder, {}
        self.calls: list[str] = []
        self.faults: list[list[Any]] = []
        self.surprises: list[tuple[re.Pattern[str], Callable[[], Any]]] = []
        self.sent: dict[str, int] = {}
        self.ranges = True
        self.redirects = False
        self.url = ""

    def fail(self, call: str, status: int, times: int = 100, code: str = "") -> None:
        """Answer calls that match, such as "POST .*/commit/", with this status and code, so many times."""
        self.faults.append([re.compile(call), status, times, code])

    def before(self, call: str, surprise: Callable[[], Any]) -> None:
        """Do something when such a call has come, before it is answered, once."""
        self.surprises.append((re.compile(call), surprise))

    def add(self, kind: str, name: str, files: dict[str, bytes]) -> str:
        """Put a repository there with one commit; return its commit. `kind`: models or datasets."""
        repo = self.repos.setdefault(f"{kind}/{name}", Repo())
        return repo.commit({path: self.store(data, lfs=len(data) > 1000) for path, data in files.items()})

    def store(self, data: bytes, lfs: bool) -> dict[str, Any]:
        sha256 = hashlib.sha256(data).hexdigest()
        (self.folder / sha256).write_bytes(data)
        return self.entry(sha256, lfs)

    def entry(self, sha256: str, lfs: bool) -> dict[str, Any]:
        data = (self.folder / sha256).read_bytes()
        pointer = (
            f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n".encode()
        )
        content = pointer if lfs else data
        oid = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"type": "file", "oid": oid, "size": len(data), "sha256": sha256}
        return entry | (
            {"lfs": {"oid": sha256, "size": len(data), "pointerSize": len(pointer)}} if lfs else {}
        )

    def repo(self, kind: str, name: str) -> Repo:
        if f"{kind}/{name}" not in self.repos:
            raise Refusal(404, "RepoNotFound")
        return self.repos[f"{kind}/{name}"]

    def create(self, body: bytes) -> Any:
        said = json.loads(body)
        name = f"{said['organization']}/{said['name']}"
        if f"models/{name}" in self.repos:
            raise Refusal(409, url=f"{self.url}/{name}")
        self.repos[f"models/{name}"] = Repo()
        self.repos[f"models/{name}"].commit({".gitattributes": self.store(b"*.safetensors lfs", lfs=False)})
        return {"url": f"{self.url}/{name}"}

    def info(self, body: bytes, kind: str, name: str, revision: str | None = None) -> Any:
        repo = self.repo(kind, name)
        commit = repo.resolve(revision or "main")
        siblings = [{"rfilename": path} for path in repo.commits[commit]]
        return {"id": name, "sha": commit, "private": False, "siblings": siblings}

    def refs(self, body: bytes, kind: str, name: str) -> Any:
        repo = self.repo(kind, name)
        tags = [{"name": t, "ref": f"refs/tags/{t}", "targetCommit": c} for t, c in repo.tags.items()]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": repo.head}
        return {"branches": [main], "tags": tags, "converts": []}

    def tag(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        repo, tag = self.repo(kind, name), json.loads(body)["tag"]
        if tag in repo.tags:
            raise Refusal(409)
        repo.tags[tag] = repo.resolve(revision)
        return {}

    def tree(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        repo = self.repo(kind, name)
        return [{"path": path, **e} for path, e in repo.commits[repo.resolve(revision)].items()]

    def paths_info(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        wanted = parse_qs(body.decode())["paths"]
        return [entry for entry in self.tree(b"", kind, name, revision) if entry["path"] in wanted]

    def validate_yaml(self, body: bytes) -> Any:
        return {"errors": [], "warnings": []}

    def preupload(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        repo = self.repo(kind, name)
        there = repo.commits[repo.resolve(revision)]
        return {
            "files": [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                    "shouldIgnore": False,
                    "oid": self._known(there.get(file["path"])),
                }
                for file in json.loads(body)["files"]
            ]
        }

    def _known(self, entry: dict[str, Any] | None) -> str | None:
        return None if entry is None else entry["sha256"] if "lfs" in entry else entry["oid"]

    def batch(self, body: bytes, name: str) -> Any:
        objects = json.loads(body)["objects"]
        for thing in objects:
            if not (self.folder / thing["oid"]).exists():
                thing["actions"] = {"upload": {"href": f"{self.url}/lfs/{thing['oid']}", "header": {}}}
        return {"transfer": "basic", "objects": objects}

    def upload(self, body: bytes, sha256: str) -> Any:
        if hashlib.sha256(body).hexdigest() != sha256:
            raise Refusal(422)
        (self.folder / sha256).write_bytes(body)
        return {}

    def commit(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        repo = self.repo(kind, name)
        tree = dict(repo.commits[repo.resolve(revision)])
        for line in body.splitlines():
            said = json.loads(line)
            key, value = said["key"], said["value"]
            if key == "header" and value.get("parentCommit") not in (None, repo.head):
                raise Refusal(412)
            if key == "file":
                tree[value["path"]] = self.store(base64.b64decode(value["content"]), lfs=False)
            if key == "lfsFile":
                tree[value["path"]] = self.entry(value["oid"], lfs=True)
            if key == "deletedFile":
                del tree[value["path"]]
        oid = repo.commit(tree)
        return {"commitOid": oid, "commitUrl": f"{self.url}/{name}/commit/{oid}", "success": True}

    def file(self, body: bytes, kind: str | None, name: str, revision: str, path: str) -> Any:
        repo = self.repo((kind or "models/").rstrip("/"), name)
        commit = repo.resolve(revision)
        if path not in repo.commits[commit]:
            raise Refusal(404, "EntryNotFound")
        return commit, repo.commits[commit][path]

    def blob(self, body: bytes, sha256: str) -> Any:
        return "", self.entry(sha256, lfs=True)


REPO = r"(models|datasets)/([^/]+/[^/]+)"
ROUTES = [
    (r"POST /api/repos/create", HubServer.create),
    (r"POST /api/validate-yaml", HubServer.validate_yaml),
    (rf"GET /api/{REPO}/refs", HubServer.refs),
    (rf"GET /api/{REPO}/tree/([^/]+)", HubServer.tree),
    (rf"GET /api/{REPO}(?:/revision/([^/]+))?", HubServer.info),
    (rf"POST /api/{REPO}/paths-info/([^/]+)", HubServer.paths_info),
    (rf"POST /api/{REPO}/preupload/([^/]+)", HubServer.preupload),
    (rf"POST /api/{REPO}/commit/([^/]+)", HubServer.commit),
    (rf"POST /api/{REPO}/tag/([^/]+)", HubServer.tag),
    (r"POST /([^/]+/[^/]+)\.git/info/lfs/objects/batch", HubServer.batch),
    (r"PUT /lfs/([0-9a-f]{64})", HubServer.upload),
    (r"GET /blobs/([0-9a-f]{64})", HubServer.blob),
    (r"(?:GET|HEAD) /(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", HubServer.file),
]


class Handler(BaseHTTPRequestHandler):
    """HTTP in front of a HubServer."""

    protocol_version = "HTTP/1.1"
    hub: HubServer

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        call = f"{self.command} {unquote(urlsplit(self.path).path)}"
        self.hub.calls.append(call)
        try:
            result = self._result(call, body)
        except Refusal as refusal:
            return self._send(
                refusal.status, json.dumps(refusal.body).encode(), {"X-Error-Code": refusal.code}
            )
        if isinstance(result, tuple):
            return self._send_file(*result)
        return self._send(200, json.dumps(result).encode(), {"Content-Type": "application/json"})

    def _result(self, call: str, body: bytes) -> Any:
        for pattern, surprise in list(self.hub.surprises):
            if pattern.search(call):
                self.hub.surprises.remove((pattern, surprise))
                surprise()
        for fault in self.hub.faults:
            if fault[0].search(call) and fault[2]:
                fault[2] -= 1
                raise Refusal(fault[1], fault[3])
        asked = self.command in ("POST", "PUT") and not call.startswith("PUT /lfs/")
        if asked and self.headers.get("authorization") != f"Bearer {TOKEN}":
            raise Refusal(401)
        for pattern, route in ROUTES:
            if match := re.fullmatch(pattern, call):
                return route(self.hub, body, *match.groups())
        raise Refusal(404)

    def _send_file(self, commit: str, entry: dict[str, Any]) -> None:
        headers = {"X-Repo-Commit": commit, "ETag": f'"{entry["oid"]}"'}
        if "lfs" in entry:
            headers |= {"X-Linked-Etag": f'"{entry["sha256"]}"', "X-Linked-Size": str(entry["size"])}
        if self.hub.redirects and "/resolve/" in self.path and self.command == "GET":
            return self._send(302, b"", headers | {"Location": f"{self.hub.url}/blobs/{entry['sha256']}"})
        data = (self.hub.folder / entry["sha256"]).read_bytes()
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("range") or "")
        if not (asked and self.hub.ranges):
            return self._send(200, data, headers)
        part = data[int(asked[1]) : int(asked[2]) + 1]
        headers["Content-Range"] = f"bytes {asked[1]}-{int(asked[1]) + len(part) - 1}/{len(data)}"
        self._send(206, part, headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            path = unquote(urlsplit(self.path).path)
            with suppress(ConnectionError):  # who asked may have heard enough
                for start in range(0, len(body), 2**16):
                    part = body[start : start + 2**16]
                    self.wfile.write(part)
                    self.hub.sent[path] = self.hub.sent.get(path, 0) + len(part)

    def log_message(self, *args: Any) -> None:
        pass

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815


@contextmanager
def serving(folder: Path) -> Iterator[HubServer]:
    """A server on a free port of loopback, its blobs in `folder`."""
    folder.mkdir(parents=True)
    hub = HubServer(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("HubHandler", (Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
