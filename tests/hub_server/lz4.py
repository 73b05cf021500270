"""LZ4 frames, read only. https://github.com/lz4/lz4/tree/dev/doc. Checksums are not looked at."""

import struct

MAGIC = 0x184D2204
RAW = 1 << 31


def decompress(data: bytes) -> bytes:
    magic, flags = struct.unpack_from("<IB", data)
    if magic != MAGIC:
        raise ValueError("this is no LZ4 frame")
    position = 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
    out = bytearray()
    while True:
        (size,) = struct.unpack_from("<I", data, position)
        position += 4
        if size == 0:
            return bytes(out)
        block = data[position : position + (size & ~RAW)]
        if size & RAW:
            out += block
        else:
            _block(block, out)
        position += len(block) + (4 if flags & 0x10 else 0)


def _block(data: bytes, out: bytearray) -> None:
    """Literals and matches in turn; the last ones are literals. Matches may reach into earlier blocks."""
    position = 0
    while position < len(data):
        token = data[position]
        count, position = _length(data, position + 1, token >> 4)
        out += data[position : position + count]
        position += count
        if position == len(data):
            return
        (offset,) = struct.unpack_from("<H", data, position)
        count, position = _length(data, position + 2, token & 15)
        _copy(out, offset, count + 4)


def _length(data: bytes, position: int, nibble: int) -> tuple[int, int]:
    """A length whose first 15 are in the token; what is more, in bytes of up to 255."""
    count = nibble
    more = nibble == 15
    while more:
        count += data[position]
        more = data[position] == 255
        position += 1
    return count, position


def _copy(out: bytearray, offset: int, count: int) -> None:
    """A match may overlap what it writes: then it repeats."""
    piece = bytes(out[-offset:] if count >= offset else out[-offset : len(out) - offset + count])
    out += (piece * (count // len(piece) + 1))[:count]
