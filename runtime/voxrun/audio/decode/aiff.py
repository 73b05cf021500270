"""AIFF whose header has no length, as a recorder that crashed or a pipe leaves it; FFmpeg takes it for empty.

Source: Apple's Audio Interchange File Format 1.3 and AIFF-C.
"""

import struct

from .bytestream import ByteStream
from .wav import FLOAT, PCM, Layout, Samples

HEAD = 4096
"""Bytes in which the header must end."""
UNKNOWN_SIZE = 0x7F000000
"""Bytes of samples from here on mean an unknown length, unless a file has them: sox writes it into pipes."""
CODECS = {
    b"NONE": (PCM, (16, 24, 32), ">"),
    b"sowt": (PCM, (16, 24, 32), "<"),
    b"fl32": (FLOAT, (32,), ">"),
    b"fl64": (FLOAT, (64,), ">"),
}
"""Format code as in WAV, bits and byte order by AIFF-C's name of the codec."""


def unsized_aiff(stream: ByteStream) -> Samples | None:
    """The samples of such a recording; None, with nothing consumed, for any other."""
    head, at, layout = stream.peek(HEAD), 12, None
    while at + 8 <= len(head):
        kind, size = struct.unpack_from(">4sI", head, at)
        if kind == b"COMM":
            layout = _unsized_layout(head[at + 8 : at + 8 + size], stream.size or 0)
        if kind == b"SSND":
            if layout is None:
                return None
            stream.skip(at + 16)  # its head, an offset and the size of a block
            return Samples(stream, layout)
        at += 8 + size + size % 2
    return None


def _unsized_layout(common: bytes, file_size: int) -> Layout | None:
    """The layout by a COMM chunk that does not know how many samples follow."""
    if len(common) < 18:
        return None
    channels, frames, bits, exponent, mantissa = struct.unpack_from(">HIHHQ", common)
    code, widths, order = CODECS.get(common[18:22] or b"NONE", (PCM, (), ">"))
    if bits not in widths or not channels:
        return None
    rate = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16383 - 63) if (exponent & 0x7FFF) < 16383 + 32 else 0
    layout = Layout(round(rate), channels, code, bits, order)
    size = frames * layout.frame
    return None if 0 < size < UNKNOWN_SIZE or 0 < size <= file_size else layout
