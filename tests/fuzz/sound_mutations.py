"""Changes to recordings: random bytes, flips, truncations, splices, and edits of the numbers in headers."""

import random
import struct

HEADER = 600
"""Bytes from a recording's beginning in which its lengths, rates and counts lie, mostly."""
SIZES = (
    *(0, 1, 2, 3, 7, 8, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 1_000_000, 0x7FFFFFFF),
    *(0x01000000, 0x08000000, 0x20000000, 0x40000000, 0x7FFFFFF0),
    *(0x80000000, 0xFFFFFFFE, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF),
)
FORMATS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")
MAGICS = (
    *(b"RIFF", b"RIFX", b"RF64", b"WAVE", b"fmt ", b"data", b"LIST", b"fLaC", b"OggS", b"ID3\x03\0\0", b"TAG"),
    *(b"ftyp", b"moov", b"mdat", b"moof", b"trak", b"stsz", b"stco", b"stts", b"esds", b"elst", b"FORM", b"AIFF"),
    *(b"COMM", b"SSND", b"caff", b"desc", b"pakt", b".snd", b"#!AMR\n", b"\x1aE\xdf\xa3", b"\x18S\x80g", b"\xa3"),
    *(b"OpusHead", b"\x01vorbis", b"\x05vorbis", b"APETAGEX", b"Xing", b"Info", b"VBRI", b"\xff\xfb\x90\x64"),
    *(b"\xff\xf1", b"\x0b\x77", b"FLV\x01", b"G@\x00", b"\0\0\x01\xba", b"wvpk", b"TTA1", b"MAC ", b"MPCK", b"DSD "),
    *(b"#EXTM3U\n", b"ffconcat version 1.0\n", b"<MPD ", b"v=0\r\n", b"NIST_1A", b"0&\xb2u\x8ef\xcf\x11"),
)
"""What formats begin with, or name their parts with."""


def mutated(seeds: dict[str, bytes], chance: random.Random) -> bytes:
    """A changed recording; of a kind drawn at random, from seeds drawn at random."""
    kind = chance.choices((noise, spliced, changed), (1, 3, 16))[0]
    return kind(seeds, chance)


def noise(seeds: dict[str, bytes], chance: random.Random) -> bytes:
    """Random bytes, often behind the beginning of some format."""
    body = chance.randbytes(chance.choice((0, 1, 2, 10, 100, 1000, 5000)))
    if chance.random() < 0.3:
        return body
    if chance.random() < 0.5:
        return chance.choice(MAGICS) + body
    return chance.choice(list(seeds.values()))[: chance.randrange(64)] + body


def spliced(seeds: dict[str, bytes], chance: random.Random) -> bytes:
    """The beginning of one recording, the end of another, perhaps a third between them."""
    parts = chance.sample(list(seeds.values()), chance.choice((2, 2, 3)))
    first, last = parts[0], parts[-1]
    between = parts[1] if len(parts) == 3 else b""
    return first[: chance.randrange(len(first) + 1)] + between + last[chance.randrange(len(last)) :]


def changed(seeds: dict[str, bytes], chance: random.Random) -> bytes:
    """One recording with one to many changes."""
    data = bytearray(chance.choice(list(seeds.values())))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8, 30))):
        if data:
            chance.choices(CHANGES, WEIGHTS)[0](data, chance)
    return bytes(data)


def _flip(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _flip_in_header(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(min(len(data), HEADER))] = chance.randrange(256)


def _number(data: bytearray, chance: random.Random) -> None:
    """A number in the header, or about anywhere, becomes one that is often wrong."""
    form = chance.choice(FORMATS)
    size = struct.calcsize(form)
    reach = min(len(data), HEADER) if chance.random() < 0.8 else len(data)
    at = chance.randrange(reach)
    data[at : at + size] = struct.pack(form, chance.choice(SIZES) & (256**size - 1))


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _hole(data: bytearray, chance: random.Random) -> None:
    """Bytes are missing, or zeros."""
    at, n = chance.randrange(len(data)), chance.choice((1, 4, 64, 1000))
    data[at : at + n] = bytes(n if chance.random() < 0.5 else 0)


def _repeat(data: bytearray, chance: random.Random) -> None:
    at, n = chance.randrange(len(data)), chance.choice((1, 4, 64, 1000))
    data[at:at] = data[at : at + n] * chance.choice((1, 2, 10))


def _magic(data: bytearray, chance: random.Random) -> None:
    at, magic = chance.randrange(len(data)), chance.choice(MAGICS)
    data[at : at + (len(magic) if chance.random() < 0.5 else 0)] = magic


CHANGES = (_flip, _flip_in_header, _number, _cut, _hole, _repeat, _magic)
WEIGHTS = (3, 4, 6, 1, 1, 1, 1)
