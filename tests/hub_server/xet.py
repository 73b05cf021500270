"""Xet: the tokens, and a small content-addressed store (CAS) that takes chunks and makes files of them.

A file is cut into chunks, chunks travel in xorbs, and a shard says which chunks of which xorbs make which
file; https://huggingface.co/docs/xet: api, xorb, shard. What a shard names is put together at once, checked
against its sha256 and kept as any other blob. No chunk is known from elsewhere. Downloads go by plain HTTP;
with `xet_downloads`, those of files that came by Xet go the same way back.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from . import lz4
from .access import Token
from .disk import read_json, write, write_json
from .repository import Repo
from .server import HubServer
from .web import Answer, Refusal, Request, json_answer

TAG = b"HFRepoMetaData\0UigEj{\x81W\x83\xa5\xbd\xd9\\\xcd\xd1J\xa9"
BOOKEND = b"\xff" * 32
VERIFIED, DESCRIBED = 1 << 31, 1 << 30
"""Flags of a file in a shard: hashes of its ranges follow; its sha256 follows."""


@dataclass(frozen=True)
class Segment:
    """Chunks start to stop of a xorb."""

    xorb: str
    size: int
    start: int
    stop: int


def token(hub: HubServer, request: Request, repo: Repo, revision: str) -> Answer:
    """A token for the CAS, made of the one for the Hub; and where the CAS is. In the body and in headers."""
    value = f"xet-{hashlib.sha256(repr(request.token).encode()).hexdigest()}"
    hub.tokens[value] = request.token or Token("nobody", "read", frozenset())
    expires, place = int(hub.now()) + 3600, f"{hub.url}/cas"
    headers = {
        "X-Xet-Access-Token": value,
        "X-Xet-Token-Expiration": str(expires),
        "X-Xet-Cas-Url": place,
    }
    return json_answer({"accessToken": value, "exp": expires, "casUrl": place}, headers=headers)


def xorb(hub: HubServer, request: Request, digest: str) -> Any:
    write(hub.folder / "xorbs" / digest, request.body)
    return {"was_inserted": True}


def shard(hub: HubServer, request: Request, version: str) -> Answer:
    for digest, sha256, segments in files(request.body):
        data = b"".join(_segment(hub, segment) for segment in segments)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Refusal(400, message=f"the chunks of {sha256} make another file")
        hub.keep(sha256, data)
        write_json(hub.folder / "xet" / f"{sha256}.json", {"hash": digest, "size": len(data)})
        write_json(hub.folder / "xet" / f"{digest}.json", [asdict(segment) for segment in segments])
    told = {"result": 1} if version == "1" else {"type": "result"}
    return Answer(200, json.dumps(told).encode() + b"\n", {"Content-Type": "application/x-ndjson"})


def reconstruction(hub: HubServer, request: Request, digest: str) -> Any:
    """Which chunks make a file, and where they can be had. It is always the whole file."""
    found = read_json(hub.folder / "xet" / f"{digest}.json")
    if found is None:
        raise Refusal(404, message=f"no file has the hash {digest}")
    if not (request.headers.get("range") or "bytes=0-").startswith("bytes=0-"):
        raise Refusal(416, message="the file was told whole")
    segments = [Segment(**each) for each in found]
    terms = [{"hash": s.xorb, "unpacked_length": s.size, "range": _range(s.start, s.stop)} for s in segments]
    return {
        "offset_into_first_range": 0,
        "terms": terms,
        "xorbs": {s.xorb: _places(hub, s) for s in segments},
    }


def _places(hub: HubServer, segment: Segment) -> list[dict[str, Any]]:
    path = hub.folder / "xorbs" / segment.xorb
    *_, (stop, _) = chunks(path.read_bytes(), segment.stop)
    parts = {"chunks": _range(0, segment.stop), "bytes": _range(0, stop - 1)}
    return [{"url": f"{hub.url}/cas/xorbs/{segment.xorb}", "ranges": [parts]}]


def _range(start: int, end: int) -> dict[str, int]:
    return {"start": start, "end": end}


def told(hub: HubServer, sha256: str, name: str, revision: str) -> dict[str, str]:
    """Headers of a file by which the client takes it from the CAS."""
    known = read_json(hub.folder / "xet" / f"{sha256}.json")
    if known is None or not hub.xet_downloads:
        return {}
    route = f"{hub.url}/api/{name}/xet-read-token/{revision}"
    return {"X-Xet-Hash": known["hash"], "Link": f'<{route}>; rel="xet-auth"'}


def files(data: bytes) -> Iterator[tuple[str, str, list[Segment]]]:
    """The files of a shard: hash, sha256, segments. Records have 48 bytes each, a hash first."""
    if data[:32] != TAG:
        raise Refusal(400, message="this is no shard")
    position = 48
    while data[position : position + 32] != BOOKEND:
        digest = _hex(data[position : position + 32])
        flags, count = struct.unpack_from("<II", data, position + 32)
        records = range(position + 48, position + 48 * (count + 1), 48)
        segments = [
            Segment(_hex(data[at : at + 32]), *struct.unpack_from("<III", data, at + 36)) for at in records
        ]
        position += 48 * (1 + count + (count if flags & VERIFIED else 0))
        if not flags & DESCRIBED:
            raise Refusal(400, message="a file of the shard tells no sha256")
        yield digest, _hex(data[position : position + 32]), segments
        position += 48


def _hex(digest: bytes) -> str:
    """Hashes are written as four little-endian numbers of 8 bytes."""
    return "".join(digest[i : i + 8][::-1].hex() for i in range(0, 32, 8))


def _segment(hub: HubServer, segment: Segment) -> bytes:
    path = hub.folder / "xorbs" / segment.xorb
    if not path.exists():
        raise Refusal(400, message=f"the xorb {segment.xorb} is not there")
    found = [chunk for _, chunk in chunks(path.read_bytes(), segment.stop)]
    data = b"".join(found[segment.start :])
    if len(data) != segment.size:
        raise Refusal(400, message=f"the chunks of {segment.xorb} have other sizes than the shard tells")
    return data


def chunks(xorb: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """The first chunks of a xorb, with where each ends.

    Before each: version, size in the xorb, scheme, own size; 8 bytes.
    """
    position = 0
    for _ in range(count):
        packed = int.from_bytes(xorb[position + 1 : position + 4], "little")
        scheme = xorb[position + 4]
        stop = position + 8 + packed
        yield stop, _unpacked(xorb[position + 8 : stop], scheme)
        position = stop


def _unpacked(data: bytes, scheme: int) -> bytes:
    """0: as it is; 1: LZ4; 2: every fourth byte together, then LZ4."""
    if scheme == 0:
        return data
    data = lz4.decompress(data)
    if scheme == 1:
        return data
    whole, start = bytearray(len(data)), 0
    for offset in range(4):
        stop = start + len(range(offset, len(data), 4))
        whole[offset::4] = data[start:stop]
        start = stop
    return bytes(whole)
