"""Writing reproducible safetensors files.

`mx.save_safetensors` writes tensors in the order of a hash map, unaligned; this writer keeps the given order,
aligns the start of the data to 64 bytes, and hashes the file while it writes. A file can be continued behind
a prefix of it that is on the disk.
"""

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrun.checkpoint import tensors as headers
from voxrun.checkpoint.tensors import PREFIX, Tensor

from .threads import Buffer, InTurn

SYNC_BYTES = 256 * 2**20
"""Bytes after which the file is synced in the background, so that the last sync is short."""
ALIGNMENT = 64
BLOCK = 2**20
"""Bytes of a prefix read at a time."""
METADATA = {"format": "mlx"}


def header_bytes(tensors: Sequence[Tensor]) -> bytes:
    """The header of a file: length and JSON, padded to align the data."""
    entries: dict[str, Any] = {headers.METADATA: METADATA}
    offset = 0
    for t in tensors:
        ends = [offset, offset + t.nbytes]
        entries[t.name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": ends}
        offset = ends[1]
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(PREFIX + len(text)) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


Durable = Callable[[int, str], object]
"""Gets the length of a file's prefix that is on the disk, and its sha256."""


@dataclass(frozen=True)
class Prefix:
    """The first bytes of a file as they were written."""

    length: int
    sha256: "hashlib._Hash"
    """After these bytes."""


def read_prefix(path: Path, length: int, sha256: str) -> Prefix | None:
    """The first `length` bytes of a file; None if it has fewer, or others than those of this hash."""
    digest, left = hashlib.sha256(), length
    try:
        with path.open("rb", buffering=0) as file:
            while left and (block := file.read(min(BLOCK, left))):
                digest.update(block)
                left -= len(block)
    except OSError:
        return None
    return None if left or digest.hexdigest() != sha256 else Prefix(length, digest)


class CheckpointWriter:
    """Writes the given tensors in their order, and hashes the file, in separate threads."""

    def __init__(
        self, path: Path, tensors: Sequence[Tensor], prefix: Prefix | None = None, *, cached: bool = True
    ) -> None:
        """With `prefix`, which ends between two tensors, the file is continued behind it.

        Without `cached`, what is on the disk leaves the system's cache: for files that nobody reads soon.
        """
        start = header_bytes(tensors)
        self._whole = len(start) + sum(tensor.nbytes for tensor in tensors)
        self._length = prefix.length if prefix else 0
        self._sha256 = prefix.sha256 if prefix else hashlib.sha256()
        self._path, self._cached = path, cached
        self._appending, self._syncing = InTurn(), InTurn()
        self._file = path.open("r+b" if prefix else "wb", buffering=0)
        try:
            if prefix:
                self._file.truncate(prefix.length)
                self._file.seek(prefix.length)
            else:
                self._append(start)
        except BaseException:
            self._file.close()
            raise

    def write(self, *data: Buffer) -> None:
        """Write the next bytes, which must not change afterwards. Raises OSError, also of earlier writes."""
        self._appending.do(self._append_all, data)

    def when_durable(self, then: Durable) -> None:
        """Call `then` in another thread when what was written so far is on the disk. Raises as `write`."""
        self._appending.do(self._when_appended, then)

    def finish(self) -> str:
        """Flush to the disk; return the file's sha256. Raises OSError."""
        self._appending.wait()
        self._syncing.wait()
        assert self._length == self._whole, "the tensors written are not those of the header"
        self._sync(self._file.fileno())
        self._file.close()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._appending.close()
        self._syncing.close()
        self._file.close()

    def _append_all(self, data: Sequence[Buffer]) -> None:
        for part in data:
            self._append(part)

    def _append(self, data: Buffer) -> None:
        self._sha256.update(data)
        rest = memoryview(data)
        with self._named_errors():
            while rest:  # a write may be partial
                rest = rest[self._file.write(rest) :]
        before, self._length = self._length, self._length + len(data)
        if self._length // SYNC_BYTES > before // SYNC_BYTES:
            self._syncing.do(self._sync, self._file.fileno())

    def _when_appended(self, then: Durable) -> None:
        """All that was written before is appended and hashed now."""
        self._syncing.do(self._when_synced, (self._length, self._sha256.copy(), then))

    def _when_synced(self, durable: tuple[int, "hashlib._Hash", Durable]) -> None:
        length, digest, then = durable
        self._sync(self._file.fileno())
        then(length, digest.hexdigest())

    def _sync(self, descriptor: int) -> None:
        with self._named_errors():
            os.fsync(descriptor)
            if not self._cached and hasattr(os, "posix_fadvise"):
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Add the file's name to errors of its descriptor."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
