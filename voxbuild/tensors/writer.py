"""Writing reproducible safetensors files.

`mx.save_safetensors` writes tensors in the order of a hash map, unaligned; this writer keeps the given order,
aligns the start of the data to 64 bytes, and hashes the file while it writes.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxrun.checkpoint import tensors as headers
from voxrun.checkpoint.tensors import PREFIX, Tensor

from .threads import Buffer, InTurn

SYNC_BYTES = 256 * 2**20
"""Bytes after which the file is synced in the background, so that the last sync is short."""
ALIGNMENT = 64
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


class CheckpointWriter:
    """Writes the given tensors in their order, and hashes the file, in separate threads."""

    def __init__(self, path: Path, tensors: Sequence[Tensor]) -> None:
        start = header_bytes(tensors)
        self._expected = sum(tensor.nbytes for tensor in tensors)
        self._written = 0
        self._sha256 = hashlib.sha256()
        self._path = path
        self._file = path.open("wb", buffering=0)
        try:
            self._append(start)
        except BaseException:
            self._file.close()
            raise
        self._appending, self._syncing = InTurn(), InTurn()

    def write(self, data: Buffer) -> None:
        """Write the next bytes, which must not change afterwards. Raises OSError, also of earlier writes."""
        self._appending.do(self._append, data)
        self._written += len(data)
        if self._written // SYNC_BYTES > (self._written - len(data)) // SYNC_BYTES:
            self._syncing.do(self._sync, self._file.fileno())

    def finish(self) -> str:
        """Flush to the disk; return the file's sha256. Raises OSError."""
        self._appending.wait()
        self._syncing.wait()
        assert self._written == self._expected, "the tensors written are not those of the header"
        self._sync(self._file.fileno())
        self._file.close()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._appending.close()
        self._syncing.close()
        self._file.close()

    def _append(self, data: Buffer) -> None:
        self._sha256.update(data)
        rest = memoryview(data)
        with self._named_errors():
            while rest:  # a write may be partial
                rest = rest[self._file.write(rest) :]

    def _sync(self, descriptor: int) -> None:
        with self._named_errors():
            os.fsync(descriptor)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Add the file's name to errors of its descriptor."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
