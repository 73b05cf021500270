"""Joined recordings, handed to FFmpeg one by one: chained Ogg, FLAC after FLAC and the like.

FFmpeg's readers stumble over a link of another codec or rate, and do not tell whether Ogg lacks its end or
pages in it. Sources: RFC 3533 (Ogg pages: 27 bytes, then a table of segment lengths), RFC 9639 (FLAC's first
block), ISO/IEC 14496-12 (MP4 boxes).
"""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Protocol

from .bytestream import ByteStream

MARK = b"OggS"
FIRST, LAST = 2, 4
"""Flags of the first and the last page of a stream inside the file."""
PAGE_HEAD = 27
SEARCH = 1 << 16
"""Bytes that are searched at once for a page behind damage."""
MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Each byte with its bits in the opposite order."""
MARKS = {
    "flac": (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22"),  # its first block has 34 bytes
    "amr": (b"#!AMR\n", b"#!AMR-WB\n"),
    "asf": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",),
    "voc": (b"Creative Voice File\x1a",),
    "tta": (b"TTA1\x01\x00",),  # its format code is 1
    "flv": tuple(b"FLV\x01" + bytes([tracks, 0, 0, 0, 9]) for tracks in (1, 4, 5)),  # video, sound, both
}
"""First bytes of a recording that appear nowhere else in it, by FFmpeg's name of the container."""


class Link(Protocol):
    """One of several recordings in a stream, as a file object; behind it begins the next."""

    @property
    def is_complete(self) -> bool:
        """Whether all of it came, as far as the container can tell."""

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end of the link. Raises AudioError."""

    def skip(self) -> None:
        """Go to the end of the link."""


class OggLink:
    """One link of chained Ogg."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = b""
        self._open: set[bytes] = set()  # serial numbers of streams that have begun and not ended
        self._begun = self._ended = self._damaged = False

    @property
    def is_complete(self) -> bool:
        """Whether every stream of the link has its last page, and every page its checksum."""
        return not self._open and not self._damaged

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end of the link. Raises AudioError."""
        if not self._buffer and not self._ended:
            self._buffer = self._page()
            self._ended = not self._buffer
        data, self._buffer = self._buffer[:n], self._buffer[n:]
        return data

    def skip(self) -> None:
        """Go to the end of the link."""
        while self.read(SEARCH):
            pass

    def _page(self) -> bytes:
        """The next page, or the bytes before it if it is damaged."""
        head = self._stream.peek(PAGE_HEAD)
        if len(head) < PAGE_HEAD or head[:4] != MARK:
            return self._until_mark()
        flags, serial = head[5], head[14:18]
        if flags & FIRST and self._begun:
            return b""
        lengths = self._stream.peek(PAGE_HEAD + head[26])[PAGE_HEAD:]
        page = self._stream.peek(PAGE_HEAD + len(lengths) + sum(lengths))
        if checksum(page) != page[22:26]:  # FFmpeg leaves it out without a word
            self._damaged = True
            return self._until_mark()
        self._note(flags, serial)
        return self._stream.exactly(len(page))

    def _note(self, flags: int, serial: bytes) -> None:
        if flags & FIRST:
            self._open.add(serial)
        else:
            self._begun = True
        if flags & LAST:
            self._open.discard(serial)

    def _until_mark(self) -> bytes:
        """Damaged bytes up to the next page, which FFmpeg skips."""
        data = self._stream.peek(SEARCH)
        at = data.find(MARK, 1)
        return self._stream.exactly(at if at > 0 else max(1, len(data) - len(MARK) + 1) if data else 0)


def checksum(page: bytes) -> bytes:
    """The checksum that an Ogg page must have: a CRC-32 like zlib's, but of each byte's highest bit first."""
    bare = page[:22] + bytes(4) + page[26:]
    crc = zlib.crc32(bare.translate(MIRRORED), 0xFFFFFFFF) ^ 0xFFFFFFFF  # from 0 on, and not inverted
    return crc.to_bytes(4, "big").translate(MIRRORED)


class MarkedLink:
    """One of several recordings with a mark at their beginnings."""

    is_complete = True
    """Such recordings have no mark at their ends."""

    def __init__(self, stream: ByteStream, marks: tuple[bytes, ...]) -> None:
        """`marks`: of which each begins a recording."""
        self._stream, self._marks, self._begun = stream, marks, False

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end of the link. Raises AudioError."""
        length = max(map(len, self._marks))
        data = self._stream.look(2 * length, n)
        found = [at for mark in self._marks if (at := data.find(mark, 0 if self._begun else 1)) >= 0]
        # What may be the beginning of a mark is left for the next call, unless nothing follows it.
        certain = min(found) if found else len(data) - length + 1
        if not found and certain <= 0:
            certain = len(data)
        self._begun = True
        return self._stream.exactly(min(n, certain))

    def skip(self) -> None:
        """Go to the end of the link."""
        while self.read(SEARCH):
            pass


class MovieLink:
    """One of several MP4 in a stream: each begins with its `ftyp` box."""

    is_complete = True
    """FFmpeg knows."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream, self._left, self._begun = stream, 0, False

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end of the link. Raises AudioError."""
        if not self._left:
            self._left = self._next_box()
        data = self._stream.read(min(n, self._left))
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Go to the end of the link."""
        while self.read(SEARCH):
            pass

    def _next_box(self) -> int:
        """Bytes of the box that begins here, 0 at the end of the link."""
        head = self._stream.peek(8)
        if head[4:] == b"ftyp" and self._begun:
            return 0
        self._begun = True
        size = int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(self._stream.peek(16)[8:], "big")
        return size if size >= len(head) == 8 else 1 << 63  # damaged: all that follows


LINKS: dict[str, Callable[[ByteStream], Link]] = {
    "ogg": OggLink,
    "mov": MovieLink,
    **{demuxer: partial(MarkedLink, marks=marks) for demuxer, marks in MARKS.items()},
}
"""By FFmpeg's name of the container."""
