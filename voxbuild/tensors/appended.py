"""A file that bytes are appended to, past the system's cache where the system can do that.

A conversion writes gigabytes that it does not read again. Through the system's cache they cost as much
processor time as quantizing, push the source out, and reach the disk in bursts that a flush waits for.
Written directly (Linux: O_DIRECT), they are on the disk at once.
"""

import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from .threads import Buffer, InTurn

BLOCK = 4096
"""Bytes: places, sizes and buffers of direct writes are multiples of it."""
BUFFER_BYTES = 2 * 2**20
BUFFERS = 3
"""One is filled while the others are written."""
SYNC_BYTES = 256 * 2**20
"""Bytes after which a file that goes through the cache is flushed, so that the last flush is short."""
DIRECT = getattr(os, "O_DIRECT", 0)
Bytes = np.ndarray[Any, np.dtype[np.uint8]]


class AppendedFile:
    """Copies what is appended into buffers, which one thread writes and another one flushes.

    Errors are raised by a later call. One thread appends at a time.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        """Keeps the first `length` bytes that are there. Raises OSError."""
        self._path, self._writing, self._syncing = path, InTurn(), InTurn()
        self._free: SimpleQueue[Bytes] = SimpleQueue()
        for _ in range(BUFFERS):
            self._free.put(np.frombuffer(mmap.mmap(-1, BUFFER_BYTES), np.uint8))  # begins at a block
        self._buffer, self._filled = self._free.get(), length % BLOCK
        self._at = length - self._filled
        """Where the buffer will be written."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with self._named_errors():
                os.ftruncate(self._descriptor, length)
                there = os.pread(self._descriptor, self._filled, self._at)
            self._buffer[: self._filled] = np.frombuffer(there, np.uint8)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._is_direct = self._goes_direct(True)

    @property
    def length(self) -> int:
        """Bytes of the file, with what was appended."""
        return self._at + self._filled

    def append(self, data: Buffer) -> None:
        """Append bytes, which may change afterwards. Raises OSError, also of earlier writes."""
        rest = np.frombuffer(data, np.uint8)
        while len(rest):
            count = min(len(rest), BUFFER_BYTES - self._filled)
            self._buffer[self._filled : self._filled + count] = rest[:count]
            self._filled, rest = self._filled + count, rest[count:]
            if self._filled == BUFFER_BYTES:
                self._hand_over()

    def when_durable(self, then: Callable[[], object]) -> None:
        """Call `then` in another thread when what was appended so far is on the disk. Raises as `append`."""
        self._hand_over()
        self._writing.do(self._when_written, then)

    def wait(self) -> None:
        """Wait until what was handed over is written, and what was asked for is durable. Raises OSError."""
        self._writing.wait()
        self._syncing.wait()

    def finish(self) -> None:
        """Flush to the disk, and close. Raises OSError."""
        length = self.length
        self._hand_over()
        self.wait()
        with self._named_errors():
            os.ftruncate(self._descriptor, length)
        self._sync(None)
        self.close()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._writing.close()
        self._syncing.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _hand_over(self) -> None:
        """Let the buffer be written, and go on in another one, with the bytes that fill no block."""
        full, filled = self._buffer, self._filled
        whole = filled - filled % BLOCK
        self._buffer, self._filled = self._free.get(), filled - whole
        self._buffer[: self._filled] = full[whole:filled]
        at, self._at = self._at, self._at + whole
        self._writing.do(self._write, (full, -(-filled // BLOCK) * BLOCK, at))

    def _write(self, what: tuple[Bytes, int, int]) -> None:
        """Write the first bytes of a buffer to a place."""
        buffer, count, at = what
        try:
            rest = buffer.data[:count]
            while rest:  # a write may be partial
                written = self._write_some(rest, at)
                rest, at = rest[written:], at + written
        finally:
            self._free.put(buffer)
        if not self._is_direct and at // SYNC_BYTES > (at - count) // SYNC_BYTES:
            self._syncing.do(self._sync, None)

    def _write_some(self, data: memoryview, at: int) -> int:
        with self._named_errors():
            try:
                return os.pwrite(self._descriptor, data, at)
            except OSError as error:
                if error.errno != errno.EINVAL or not self._is_direct:
                    raise
            self._is_direct = self._goes_direct(False)  # a file system that wants larger blocks, or cannot
            return os.pwrite(self._descriptor, data, at)

    def _goes_direct(self, wanted: bool) -> bool:
        """Whether writes go past the cache, after asking for that or its opposite."""
        others = fcntl.fcntl(self._descriptor, fcntl.F_GETFL) & ~DIRECT
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, others | (DIRECT if wanted else 0))
        except OSError:  # this file system cannot
            return False
        return wanted and DIRECT != 0

    def _when_written(self, then: Callable[[], object]) -> None:
        self._writing.check()
        self._syncing.do(self._sync, then)

    def _sync(self, then: Callable[[], object] | None) -> None:
        self._syncing.check()  # after a flush that failed the next one may succeed, without the lost bytes
        with self._named_errors():
            os.fsync(self._descriptor)
        if then:
            then()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Add the file's name to errors of its descriptor."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
