"""Where tags lie in a stream of MPEG frames: joined recordings have them in the middle, and they are no loss.

Sources: the ID3v2.3 and 2.4 documents, the APEv2 specification, Lyrics3 v2.
"""

from bisect import bisect_left, insort

from .bytestream import ByteStream
from .formats import id3_size
from .sync import Walk

MARKS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICSBEGIN")
LONGEST_HEAD = 32
LYRICS_END = b"LYRICS200"
ID3V1 = 128


class Tagged:
    """A file object over a stream that notes the tags that pass."""

    def __init__(self, stream: ByteStream, walk: Walk | None = None) -> None:
        """`walk` follows the frames where FFmpeg's reader does not tell what it skipped."""
        self._stream, self._walk = stream, walk
        self._tail, self._read = b"", 0
        self._spans: list[tuple[int, int]] = []  # sorted
        self._longest = 0

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end. Raises AudioError."""
        data = self._stream.read(n)
        self._note(self._tail + data, self._read - len(self._tail), last=not data)
        self._read += len(data)
        self._tail = (self._tail + data)[-LONGEST_HEAD:]
        if self._walk:
            self._walk.feed(data)
        return data

    @property
    def skipped(self) -> int:
        """Bytes between frames, by the walk, that are no tags."""
        spans = self._walk.skipped if self._walk else []
        return sum(end - start - self.between(start, end) for start, end in spans)

    @property
    def length(self) -> int:
        """Bytes read so far."""
        return self._read

    def between(self, start: int, end: int) -> int:
        """Bytes of tags in this part of the stream."""
        total, at = 0, start
        for first, last in self._spans[bisect_left(self._spans, (start - self._longest, 0)) :]:
            if first >= end:
                break
            first, last = max(first, at), min(last, end)
            if first < last:
                total, at = total + last - first, last
        return total

    def _add(self, first: int, last: int) -> None:
        insort(self._spans, (first, last))
        self._longest = max(self._longest, last - first)

    def _note(self, data: bytes, begin: int, last: bool) -> None:
        """Note the tags whose heads lie in these bytes, whole; a cut one comes again with the next bytes."""
        whole = len(data) if last else len(data) - LONGEST_HEAD
        for mark in MARKS:
            at = data.find(mark, 0)
            while 0 <= at < whole:
                first, size = _span(data[at : at + LONGEST_HEAD])
                if size:
                    self._add(begin + at + first, begin + at + first + size)
                at = data.find(mark, at + 1)
        at = data.find(LYRICS_END)
        if at >= 0 and (begun := self._lyrics_begin()) is not None:
            self._add(begun, begin + at + len(LYRICS_END))

    def _lyrics_begin(self) -> int | None:
        return next((first for first, last in reversed(self._spans) if last - first == len(MARKS[3])), None)


def _span(head: bytes) -> tuple[int, int]:
    """Where a tag with this head begins, relative to it, and its size; (0, 0) if it is none."""
    if head.startswith(b"ID3"):
        return 0, id3_size(head)
    if head.startswith(b"TAG"):
        return 0, ID3V1
    if head.startswith(b"LYRICSBEGIN"):
        return 0, len(b"LYRICSBEGIN")
    if len(head) < LONGEST_HEAD:
        return 0, 0
    size, flags = int.from_bytes(head[12:16], "little"), int.from_bytes(head[20:24], "little")
    is_header = bool(flags & 1 << 29)
    return (0, size + 32) if is_header else (32 - size, size)
