"""MP3 as encoders and tools leave it: without a header of lengths, with a wrong one, between tags."""

import struct

import numpy as np

from .encode import encoded

VBR = {"flags": "+qscale", "global_quality": str(6 * 118)}
ABR = {"abr": "1", "b": "24000"}
BARE = {"write_xing": "0", "id3v2_version": "0"}


def mp3(*parts: np.ndarray, options: dict[str, str] | None = None, **how: object) -> bytes:
    """MP3 at 16 kHz with its Xing header."""
    return encoded("mp3", "libmp3lame", *parts, options=options or {}, **how)  # type: ignore[arg-type]


def bare(sound: np.ndarray, options: dict[str, str] | None = None) -> bytes:
    """Frames and nothing else."""
    return mp3(sound, options=options, muxer=BARE)


def with_frame_count(data: bytes, factor: float) -> bytes:
    """The Xing header claims so many times the frames."""
    at = max(data.find(b"Xing"), data.find(b"Info"))
    assert at > 0
    (frames,) = struct.unpack(">I", data[at + 8 : at + 12])
    return data[: at + 8] + struct.pack(">I", round(frames * factor)) + data[at + 12 :]


def with_vbri(frames: bytes, count: int) -> bytes:
    """Fraunhofer's header in front of bare frames: `count` is the number of frames that it claims."""
    first = bytes([0xFF, 0xF3, 0x88, 0xC0])  # MPEG-2 layer 3, 64 kbit/s, 16 kHz, mono: 288 bytes
    vbri = b"VBRI" + struct.pack(">HHHIIHHHH", 1, 0, 75, len(frames) + 288, count, 1, 1, 2, count)
    frame = first + bytes(32) + vbri + struct.pack(">H", len(frames) & 0xFFFF)
    return frame.ljust(288, b"\0") + frames


def id3v1() -> bytes:
    """The tag of 128 bytes at the end of a file."""
    return b"TAG" + b"A title".ljust(30, b"\0") + b"An artist".ljust(30, b"\0") + bytes(65)


def id3v2(cover: int, frames: bool = True) -> bytes:
    """A tag with a picture of so many bytes; not `frames`: nothing but padding."""
    if frames:
        picture = b"\0image/png\0\3\0" + b"\x89PNG\r\n\x1a\n" + bytes(i * 37 & 0xFF for i in range(cover))
        body = b"APIC" + struct.pack(">IH", len(picture), 0) + picture + b"TIT2\0\0\0\2\0\0\0x"
    else:
        body = bytes(cover)
    n = len(body)
    return b"ID3\3\0\0" + bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127]) + body


def ape() -> bytes:
    """An APEv2 tag with a header and a footer."""
    items = struct.pack("<II", 5, 0) + b"Title\0title"
    common = struct.pack("<III", 2000, len(items) + 32, 1)
    header = b"APETAGEX" + common + struct.pack("<I", 0xA0000000) + bytes(8)
    footer = b"APETAGEX" + common + struct.pack("<I", 0x80000000) + bytes(8)
    return header + items + footer


def lyrics() -> bytes:
    """Lyrics3 v2."""
    body = b"LYRICSBEGININD0000200LYR00010[00:01] la "
    return body + f"{len(body):06}".encode() + b"LYRICS200"
