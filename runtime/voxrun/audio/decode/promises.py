"""What headers tell that FFmpeg does not: the length of CAF; whether an MP4 must be read to its end first.

Source: Apple's Core Audio Format specification.
"""

import struct
from collections.abc import Iterator


def caf_seconds(head: bytes) -> float | None:
    """The length of CAF sound of a constant rate by its first bytes."""
    rate = packet = frames = 0.0
    for name, at, size in _caf_chunks(head):
        if name == b"desc" and at + 24 <= len(head):
            rate, packet, frames = struct.unpack_from(">d8xII", head, at)
        if name == b"data" and size > 4 and rate and packet:
            return (size - 4) / packet * frames / rate
    return None


def _caf_chunks(head: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = 8
    while at + 12 <= len(head):
        (size,) = struct.unpack_from(">q", head, at + 4)
        yield head[at : at + 4], at + 12, size
        if size < 0:
            return
        at += 12 + size


def index_comes_first(head: bytes) -> bool:
    """Whether an MP4's index lies before its sound, which can be heard as it comes (ISO/IEC 14496-12)."""
    at = 0
    while at + 8 <= len(head):
        size, kind = struct.unpack_from(">I4s", head, at)
        if kind in (b"moov", b"mdat"):
            return bool(kind == b"moov")
        if size < 8:
            break
        at += size
    return False
