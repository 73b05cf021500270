"""Which lengths of over 2 GiB a WAV header knows: programs that write into pipes invent them too."""

import io
import math
import struct
from collections.abc import Iterator

import pytest

from voxrun.audio.decode.bytestream import ByteStream
from voxrun.audio.decode.links import MARKS, MarkedLink
from voxrun.audio.decode.wav import read_header

HEADER = 44
TAGS = 300_008
"""Bytes of a chunk behind the samples."""
GIB = 1 << 30


@pytest.mark.parametrize(
    ("size", "riff", "file", "known"),
    [
        (0x80000000, 0x80000000 + 36, None, False),  # arecord, into a pipe
        (0x7FFFF000, 0x7FFFF000 + 36, None, False),  # sox
        (0xFFFFFFFF, 0xFFFFFFFF, None, False),  # ffmpeg
        (0x7FFFFFFF, 0xFFFFFFFF, None, False),
        (0x80000000, 0x80000000 + 36, 0x80000000 + HEADER, True),  # a file that has the bytes
        (0x80000000, 0x80000000 + 36, GIB, False),
        (0x80000000, 0x80000000 + 36 + TAGS, GIB, True),  # cut: no such program promises tags
        (3 * GIB, 3 * GIB + 36, GIB, True),  # cut
        (3 * GIB, 3 * GIB + 36, None, True),
        (3 * GIB, 0xFFFFFFFF, None, False),
        (1 * GIB, 0, None, True),
        (0, 36, None, False),
    ],
)
def test_lengths_of_over_2_gib(size, riff, file, known) -> None:
    form = struct.pack("<HHIIHH", 1, 8, 192000, 192000 * 32, 32, 32)
    head = b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + struct.pack("<I", 16) + form
    stream = ByteStream(io.BytesIO(head + b"data" + struct.pack("<I", size)), "long.wav", file)
    assert read_header(stream).size == (size if known else math.inf)


def test_amr_of_both_bands_is_parted() -> None:
    recordings = [b"#!AMR\n" + bytes(50), b"#!AMR-WB\n" + bytes(90_000), b"#!AMR-WB\n" + bytes(7)]
    stream = ByteStream(io.BytesIO(b"".join(recordings)), "both.amr")
    assert [b"".join(pieces(MarkedLink(stream, MARKS["amr"]))) for _ in recordings] == recordings


def pieces(link: MarkedLink) -> Iterator[bytes]:
    while piece := link.read(1000):
        yield piece
