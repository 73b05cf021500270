"""A safetensors file that is elsewhere: its bytes are received while they are read, and lie nowhere.

Read in order they are received once, ahead of the reader; a read anywhere else is a request of its own.
"""

import hashlib
from dataclasses import dataclass
from threading import Event
from typing import Any

from voxbuild.errors import CheckpointError
from voxrun.checkpoint.tensors import PREFIX

from .ahead import Ahead, Receive
from .checkpoint import Buffers, TensorFile, parse_header


@dataclass(frozen=True)
class Remote:
    """What is known of a file that is elsewhere before its data are received."""

    name: str
    """For messages."""
    head: bytes
    """The prefix and the JSON header. They are hashed as they are here, so the hash proves them, too."""
    nbytes: int
    receive: Receive


class Streamed(TensorFile):
    """An open one. Its errors are those of `receive`; one thread reads."""

    def __init__(self, remote: Remote, buffers: Buffers) -> None:
        """Raises CheckpointError if the header is invalid or does not fit the file's size."""
        self._remote, self._buffers = remote, buffers
        self._ahead: Ahead | None = None
        self._next = len(remote.head)
        """Where the last read ended."""
        tensors = parse_header(remote.head[PREFIX:], remote.nbytes, remote.name)
        self.tensors = {tensor.name: tensor for tensor in tensors}

    def __enter__(self) -> "Streamed":
        return self

    def __exit__(self, *error: object) -> None:
        self._close()

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self._remote.nbytes

    def check_unchanged(self) -> None:
        """Nothing: `receive` compares every answer, and the hash tells the rest."""

    def hasher(self, mark: Any = None) -> tuple[Any, int]:
        """From the mark on, if it is of a file with this header."""
        from .sha256 import Sha256

        if isinstance(mark, dict) and mark.get("head") == self._head:
            hasher = Sha256(mark["state"])
            return hasher, hasher.length
        return Sha256(), 0

    def mark_of(self, sha256: Any) -> dict[str, Any]:
        """The state of the hash."""
        return {"head": self._head, "state": sha256.state}

    def read(self, start: int, nbytes: int) -> memoryview:
        """`nbytes` bytes from `start`."""
        data = self._buffers.take(nbytes)
        if start + nbytes > self.nbytes:
            raise CheckpointError(f"{self._remote.name}: it has no bytes up to {start + nbytes:,}")
        known = min(max(0, len(self._remote.head) - start), nbytes)
        data[:known] = self._remote.head[start : start + known]
        if known < nbytes:
            self._fill(start + known, data[known:])
        return data

    def _fill(self, start: int, into: memoryview) -> None:
        if self._ahead and self._ahead.at != start:
            self._close()
        if self._ahead is None and start == self._next:
            self._ahead = Ahead(self._remote.receive, start, self.nbytes)
        if self._ahead:
            self._ahead.read(into)
        else:
            self._remote.receive(start, into, Event())
        self._next = start + len(into)
        if self._next == self.nbytes:
            self._close()  # a source may have many files, each with its threads and buffers

    def _close(self) -> None:
        if self._ahead:
            self._ahead.close()
        self._ahead = None

    @property
    def _head(self) -> str:
        return hashlib.sha256(self._remote.head).hexdigest()
