"""Git LFS: batch, uploads whole and in parts, verify. https://github.com/git-lfs/git-lfs/tree/main/docs/api"""

import hashlib
import re
import shutil
import uuid
from pathlib import Path
from typing import Any

from .disk import write
from .repository import Repo
from .server import HubServer
from .web import Answer, Refusal, Request

OID = re.compile(r"[0-9a-f]{64}")


def batch(hub: HubServer, request: Request, repo: Repo) -> Any:
    """How to upload each object; those without actions are there already."""
    said = request.json()
    parts = "multipart" in said.get("transfers", ())
    return {"transfer": "basic", "objects": [_instructed(hub, repo, o, parts) for o in said["objects"]]}


def _instructed(hub: HubServer, repo: Repo, thing: dict[str, Any], parts: bool) -> dict[str, Any]:
    oid, size = thing["oid"], thing["size"]
    if not OID.fullmatch(oid):
        return thing | {"error": {"code": 422, "message": f"{oid} is no sha256"}}
    if hub.blob(oid).exists():
        return {"oid": oid, "size": size}
    verify = {"href": f"{hub.url}{_prefix(repo)}/{repo.name}.git/info/lfs/objects/verify"}
    in_parts = parts and size > hub.multipart_threshold
    upload = _in_parts(hub, oid, size) if in_parts else {"href": f"{hub.url}/lfs/{oid}/{size}", "header": {}}
    return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}


def _prefix(repo: Repo) -> str:
    return "" if repo.kind == "models" else f"/{repo.kind}"


def _in_parts(hub: HubServer, oid: str, size: int) -> dict[str, Any]:
    """A URL for each part, and the one to call when all are there."""
    place = f"{hub.url}/lfs/{oid}/{size}/{uuid.uuid4().hex}"
    count = -(-size // hub.chunk_size)
    urls = {str(number): f"{place}/{number}" for number in range(1, count + 1)}
    return {"href": f"{place}/complete", "header": {"chunk_size": str(hub.chunk_size), **urls}}


def upload(hub: HubServer, request: Request, oid: str, size: str) -> Any:
    return _received(hub, oid, int(size), request.body)


def upload_part(hub: HubServer, request: Request, oid: str, size: str, upload: str, number: str) -> Answer:
    write(_parts(hub, upload) / number, request.body)
    return Answer(headers={"ETag": _etag(request.body)})


def complete(hub: HubServer, request: Request, oid: str, size: str, upload: str) -> Any:
    """Put the parts together, if they are those whose etags the client was given."""
    folder, data = _parts(hub, upload), b""
    for part in request.json()["parts"]:
        path = folder / str(int(part["partNumber"]))
        piece = path.read_bytes() if path.exists() else b""
        if not path.exists() or part["etag"] != _etag(piece):
            raise Refusal(422, message=f"part {part['partNumber']} is not the one that was uploaded")
        data += piece
    answer = _received(hub, oid, int(size), data)
    shutil.rmtree(folder)
    return answer


def verify(hub: HubServer, request: Request, repo: Repo) -> Any:
    """The client's last question: is it there, with this size?"""
    said = request.json()
    blob = hub.blob(said["oid"])
    if not blob.exists():
        raise Refusal(404, message=f"{said['oid']} is not there")
    if blob.stat().st_size != said["size"]:
        raise Refusal(422, message=f"{said['oid']} has {blob.stat().st_size} bytes, not {said['size']}")
    return {}


def _received(hub: HubServer, oid: str, size: int, data: bytes) -> Any:
    if len(data) != size:
        raise Refusal(422, message=f"{len(data)} bytes came, {size} were announced")
    if hashlib.sha256(data).hexdigest() != oid:
        raise Refusal(422, message=f"what came has not the sha256 {oid}")
    hub.keep(oid, data)
    return {}


def _parts(hub: HubServer, upload: str) -> Path:
    return hub.folder / "parts" / upload


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
