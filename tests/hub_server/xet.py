"""Uploads by Xet: the token, and a small content-addressed store (CAS) that takes chunks and makes files.

A file is cut into chunks, chunks travel in xorbs, and a shard says which chunks of which xorbs make which
file; https://huggingface.co/docs/xet: api, xorb, shard. What a shard names is put together at once, checked
against its sha256 and kept as any other blob. No chunk is known from elsewhere; downloads go by plain HTTP.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import lz4
from .disk import write
from .repository import Repo
from .server import HubServer
from .web import Answer, Refusal, Request

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


def write_token(hub: HubServer, request: Request, repo: Repo, revision: str) -> Any:
    """A token for the CAS, made of the one for the Hub; and where the CAS is."""
    token = request.token
    assert token is not None
    value = f"xet-{hashlib.sha256(repr(token).encode()).hexdigest()}"
    hub.tokens[value] = token
    return {"accessToken": value, "exp": int(hub.now()) + 3600, "casUrl": f"{hub.url}/cas"}


def xorb(hub: HubServer, request: Request, digest: str) -> Any:
    write(hub.folder / "xorbs" / digest, request.body)
    return {"was_inserted": True}


def shard(hub: HubServer, request: Request, version: str) -> Answer:
    for sha256, segments in files(request.body):
        data = b"".join(_segment(hub, segment) for segment in segments)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Refusal(400, message=f"the chunks of {sha256} make another file")
        hub.keep(sha256, data)
    told = {"result": 1} if version == "1" else {"type": "result"}
    return Answer(200, json.dumps(told).encode() + b"\n", {"Content-Type": "application/x-ndjson"})


def files(data: bytes) -> Iterator[tuple[str, list[Segment]]]:
    """The files of a shard: sha256 and segments. Records have 48 bytes each, a hash first."""
    if data[:32] != TAG:
        raise Refusal(400, message="this is no shard")
    position = 48
    while data[position : position + 32] != BOOKEND:
        flags, count = struct.unpack_from("<II", data, position + 32)
        records = range(position + 48, position + 48 * (count + 1), 48)
        segments = [
            Segment(_hex(data[at : at + 32]), *struct.unpack_from("<III", data, at + 36)) for at in records
        ]
        position += 48 * (1 + count + (count if flags & VERIFIED else 0))
        if not flags & DESCRIBED:
            raise Refusal(400, message="a file of the shard tells no sha256")
        yield _hex(data[position : position + 32]), segments
        position += 48


def _hex(digest: bytes) -> str:
    """Hashes are written as four little-endian numbers of 8 bytes."""
    return "".join(digest[i : i + 8][::-1].hex() for i in range(0, 32, 8))


def _segment(hub: HubServer, segment: Segment) -> bytes:
    path = hub.folder / "xorbs" / segment.xorb
    if not path.exists():
        raise Refusal(400, message=f"the xorb {segment.xorb} is not there")
    data = b"".join(list(chunks(path.read_bytes(), segment.stop))[segment.start :])
    if len(data) != segment.size:
        raise Refusal(400, message=f"the chunks of {segment.xorb} have other sizes than the shard tells")
    return data


def chunks(xorb: bytes, count: int) -> Iterator[bytes]:
    """The first chunks of a xorb. Before each: version, size in the xorb, scheme, own size; 8 bytes."""
    position = 0
    for _ in range(count):
        packed = int.from_bytes(xorb[position + 1 : position + 4], "little")
        scheme = xorb[position + 4]
        yield _unpacked(xorb[position + 8 : position + 8 + packed], scheme)
        position += 8 + packed


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
