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
