"""MP4 box by box."""

import struct
from collections.abc import Iterator

PARENTS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, the box with its header) at the top level."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at : at + 8])
        yield kind, data[at : at + size]
        at += size


def index_first(data: bytes) -> bytes:
    """The index, `moov`, in front of the sound: for the web."""
    parts = dict(boxes(data))
    moov = _moved(parts[b"moov"], len(parts[b"moov"]))
    rest = [box for kind, box in boxes(data) if kind not in (b"ftyp", b"moov")]
    return b"".join([parts[b"ftyp"], moov, *rest])


def _moved(box: bytes, by: int) -> bytes:
    """A box whose chunk offsets are `by` bytes larger."""
    size, kind = struct.unpack(">I4s", box[:8])
    if kind in PARENTS:
        return box[:8] + b"".join(_moved(inner, by) for _, inner in boxes(box[8:]))
    if kind == b"stco":
        (count,) = struct.unpack(">I", box[12:16])
        offsets = struct.unpack(f">{count}I", box[16:size])
        return box[:16] + struct.pack(f">{count}I", *(offset + by for offset in offsets))
    return box


def referring(data: bytes, path: str) -> bytes:
    """A movie whose sound lies in another file: its data reference is an alias of that path."""
    name = path.rpartition("/")[2].encode()
    target = path.encode() + bytes(len(path) % 2)
    alias = bytes(10) + b"\x04disk".ljust(28, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    alias += bytes(16) + struct.pack(">hh", 1, 1) + bytes(16)
    alias += struct.pack(">HH", 2, len(target)) + target + struct.pack(">hH", -1, 0)
    entry = struct.pack(">I4sI", len(alias) + 12, b"alis", 0) + alias
    return b"".join(_with_reference(box, entry) for _, box in boxes(data))


def _with_reference(box: bytes, entry: bytes) -> bytes:
    kind = box[4:8]
    if kind in (*PARENTS, b"dinf"):
        body = b"".join(_with_reference(inner, entry) for _, inner in boxes(box[8:]))
    elif kind == b"dref":
        body = bytes(4) + struct.pack(">I", 1) + entry
    else:
        return box
    return struct.pack(">I4s", len(body) + 8, kind) + body
