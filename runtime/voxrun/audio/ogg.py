"""Ogg page by page: a chain of recordings is handed to FFmpeg link by link.

FFmpeg's reader stumbles over links of another codec or rate, and does not tell whether the end is missing.
Source: RFC 3533 (pages: 27 bytes, then a table of segment lengths).
"""

from .bytestream import ByteStream

MARK = b"OggS"
FIRST, LAST = 2, 4
"""Flags of the first and the last page of a stream inside the file."""
PAGE_HEAD = 27
SEARCH = 1 << 16
"""Bytes that are searched at once for a page behind damage."""


class OggLink:
    """A file object with the pages of one link; the stream stays at the first page of the next."""

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
