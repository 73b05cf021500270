"""Text written to open descriptors: all of it, or an error, also where a descriptor does not block."""

import errno
import fcntl
import io
import os
import re
import select
from collections.abc import Callable
from typing import Any, TextIO

STREAMS = ("/dev", "/dev/fd", "/proc/self/fd")
"""Names in these folders stand for open files, even where those are regular files."""
STANDARD = {"/dev/stdout": 1, "/dev/stderr": 2}
DESCRIPTOR = r"/(?:dev|proc/self)/fd/(\d{1,6})"


def descriptor_at(path: str) -> int | None:
    """The open descriptor that a path names, if it names one."""
    named = re.fullmatch(DESCRIPTOR, path)
    return int(named[1]) if named else STANDARD.get(path)


class Patient(io.FileIO):
    """A descriptor whose `write` returns when all is written: it waits for a slow reader.

    An error stays: every later `flush` raises it again, so that one that was swallowed is still found.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of it. Raises OSError."""
        size = len(left := memoryview(data).cast("B"))
        try:
            while left:
                written = super().write(left)
                if written is None:  # O_NONBLOCK, and there is no room
                    _wait(self.fileno())
                else:
                    left = left[written:]
        except OSError as error:
            self.failure = error
            raise
        return size

    def flush(self) -> None:
        """Raises OSError if anything could not be written."""
        if self.failure:
            raise self.failure


class Diagnostics(Patient):
    """The same for messages: those that cannot be written are dropped, and change nothing else."""

    def write(self, data: Any, /) -> int:
        """Write what can be written."""
        try:
            return super().write(data)
        except OSError:
            self.failure = None
            return len(data)


def _wait(descriptor: int) -> None:
    """Wait until there is room; `select` would refuse descriptors from 1024 on."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    poll.poll()


def writer(
    descriptor: int,
    *,
    raw: Callable[..., Patient] = Patient,
    encoding: str = "utf-8",
    errors: str = "strict",
    line_buffering: bool = False,
) -> TextIO:
    """Text to a descriptor; closing it closes the descriptor, unless it is a standard stream's."""
    return io.TextIOWrapper(
        raw(descriptor, "w", closefd=descriptor > 2),
        encoding=encoding,
        errors=errors,
        newline="\n",
        line_buffering=line_buffering,
    )


def check_writable(descriptor: int) -> None:
    """Raises OSError if a descriptor is closed, or only for reading."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
