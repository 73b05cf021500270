"""Bytes as they come from a file, a pipe or a Python object, with a look at what comes next."""

import io
import tempfile
from abc import ABC, abstractmethod
from typing import Any, Protocol

from voxrun.errors import AudioError

SPOOL_BYTES = 16 * 2**20
"""Bytes of a pipe that are kept in memory before the rest goes to a temporary file."""
CHUNK = 1 << 16
"""Bytes that are asked for at once; a pipe gives what is there."""
SOON = 0.5
"""Seconds."""


class Readable(Protocol):
    """What a stream reads from."""

    def read(self, n: int, /) -> bytes:
        """Up to n bytes; waits for the first, and is empty only at the end. Raises OSError."""


class ByteStream:
    """A stream of bytes, read once from its beginning."""

    def __init__(self, source: Readable, name: str, size: int | None = None) -> None:
        """`size`: bytes in all, if known."""
        self._source, self.name, self.size = source, name, size
        self._buffer = b""
        self.position = 0
        """Bytes consumed so far."""

    def peek(self, n: int) -> bytes:
        """The next n bytes, without consuming them; fewer only at the end. Raises AudioError."""
        if len(self._buffer) < n:
            pieces = [self._buffer]
            missing = n - len(self._buffer)
            while missing > 0 and (data := self._fetch(max(missing, CHUNK))):
                pieces.append(data)
                missing -= len(data)
            self._buffer = b"".join(pieces)
        return self._buffer[:n]

    def look(self, least: int, most: int) -> bytes:
        """At least so many of the next bytes, and up to `most` of those that are there. Raises AudioError."""
        self.peek(least)
        return self._buffer[:most]

    def read(self, n: int) -> bytes:
        """Up to n bytes; waits for the first, and is empty only at the end. Raises AudioError."""
        if not self._buffer:
            data = self._fetch(n)
        else:
            data, self._buffer = self._buffer[:n], self._buffer[n:]
        self.position += len(data)
        return data

    def exactly(self, n: int) -> bytes:
        """The next n bytes; fewer only at the end. Raises AudioError."""
        data = self.peek(n)
        self._buffer = self._buffer[n:]
        self.position += len(data)
        return data

    def skip(self, n: int) -> None:
        """Consume n bytes; fewer only at the end. Raises AudioError."""
        while n > 0 and (data := self.read(min(n, CHUNK))):
            n -= len(data)

    def ready(self) -> bool:
        """Whether the next bytes, or the end, are there or come soon: a pipe may stay open behind its end."""
        wait = getattr(self._source, "is_ready", None)
        return bool(self._buffer) or wait is None or bool(wait(SOON))

    @property
    def can_seek(self) -> bool:
        """Whether the source itself can be read again."""
        seekable = getattr(self._source, "seekable", None)
        return bool(seekable and seekable())

    def as_seekable(self) -> Any:
        """A file object with the same bytes from the beginning, which can seek; the stream is not read on."""
        if not self.can_seek:
            return Seekable(self)
        source: Any = self._source
        source.seek(0)
        return source

    def _fetch(self, n: int) -> bytes:
        try:
            return self._source.read(n)
        except OSError as error:
            raise AudioError(f"{self.name} cannot be read ({error.strerror or error})") from error


class Positioned(ABC):
    """A file object that can seek, over bytes that a subclass gives by their places."""

    def __init__(self) -> None:
        self._at = 0

    @abstractmethod
    def _bytes_at(self, at: int, n: int) -> bytes:
        """Up to n bytes from a place on; empty only at the end."""

    @abstractmethod
    def _size(self) -> int:
        """Bytes in all."""

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty only at the end."""
        data = self._bytes_at(self._at, n)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = max(0, (self._size() if base is None else base) + offset)
        return self._at

    def tell(self) -> int:
        """The byte to be read next."""
        return self._at

    def seekable(self) -> bool:
        """Yes."""
        return True


class Seekable(Positioned):
    """A stream that is read once: what was read is kept, in a temporary file if long.

    For containers whose index lies behind the sound. Reading never waits for more than was asked.
    """

    def __init__(self, stream: ByteStream) -> None:
        super().__init__()
        self._stream, self._length = stream, 0
        self._kept: Any = tempfile.SpooledTemporaryFile(SPOOL_BYTES)  # noqa: SIM115

    def __del__(self) -> None:
        self._kept.close()

    def _bytes_at(self, at: int, n: int) -> bytes:
        self._keep(at + n)
        self._kept.seek(at)
        data: bytes = self._kept.read(n)
        return data

    def _size(self) -> int:
        self._keep(None)
        return self._length

    def _keep(self, until: int | None) -> None:
        """Read on until so many bytes are kept; None: to the end."""
        self._kept.seek(self._length)
        while (until is None or self._length < until) and (data := self._stream.read(CHUNK)):
            self._kept.write(data)
            self._length += len(data)
