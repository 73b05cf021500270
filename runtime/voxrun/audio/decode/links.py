"""Joined recordings, handed to FFmpeg one by one: chained Ogg, FLAC after FLAC and the like.

FFmpeg's readers stumble over a link of another codec or rate, and do not tell whether Ogg lacks its end.
Sources: RFC 3533 (Ogg pages: 27 bytes, then a table of segment lengths), RFC 9639 (FLAC's first block).
"""

from collections.abc import Callable
from functools import partial

from .bytestream import ByteStream

MARK = b"OggS"
FIRST, LAST = 2, 4
"""Flags of the first and the last page of a stream inside the file."""
PAGE_HEAD = 27
SEARCH = 1 << 16
"""Bytes that are searched at once for a page behind damage."""
MARKS = {
    "flac": (b"fLaC\x00\x00\x00\x22", b"fLaC\x80\x00\x00\x22"),  # its first block has 34 bytes
    "amr": (b"#!AMR\n",),
    "flv": tuple(b"FLV\x01" + bytes([tracks, 0, 0, 0, 9]) for tracks in (1, 4, 5)),  # video, sound, both
}
"""First bytes of a recording that appear nowhere else in it, by FFmpeg's name of the container."""


class OggLink:
    """One link of chained Ogg, as a file object; the stream stays at the first page of the next."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = b""
        self._open: set[bytes] = set()  # serial numbers of streams that have begun and not ended
        self._begun = self._ended = False

    @property
    def is_complete(self) -> bool:
        """Whether every stream of the link has its last page."""
        return not self._open

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
        self._note(flags, serial)
        lengths = self._stream.peek(PAGE_HEAD + head[26])[PAGE_HEAD:]
        return self._stream.exactly(PAGE_HEAD + len(lengths) + sum(lengths))

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


class MarkedLink:
    """One of several recordings with a mark at their beginnings, as a file object like `OggLink`."""

    is_complete = True
    """Such recordings have no mark at their ends."""

    def __init__(self, stream: ByteStream, marks: tuple[bytes, ...]) -> None:
        """`marks`: of which each begins a recording, all as long."""
        self._stream, self._marks, self._begun = stream, marks, False

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end of the link. Raises AudioError."""
        length = len(self._marks[0])
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


LINKS: dict[str, Callable[[ByteStream], OggLink | MarkedLink]] = {
    "ogg": OggLink,
    **{demuxer: partial(MarkedLink, marks=marks) for demuxer, marks in MARKS.items()},
}
"""By FFmpeg's name of the container."""
