"""Writing reproducible safetensors files.

`mx.save_safetensors` writes tensors in the order of a hash map, unaligned; this writer keeps the given order,
aligns the start of the data to 64 bytes, and hashes the file while it writes. A file can be continued behind
a prefix of it that is on the disk.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrun.checkpoint import tensors as headers
from voxrun.checkpoint.tensors import PREFIX, Tensor

from .appended import AppendedFile
from .threads import Buffer, InTurn

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

    def __init__(self, path: Path, tensors: Sequence[Tensor], prefix: Prefix | None = None) -> None:
        """With `prefix`, which ends between two tensors, the file is continued behind it. Raises OSError."""
        start = header_bytes(tensors)
        self._whole = len(start) + sum(tensor.nbytes for tensor in tensors)
        self._sha256 = prefix.sha256 if prefix else hashlib.sha256()
        self._appending = InTurn()
        self._file = AppendedFile(path, prefix.length if prefix else 0)
        if not prefix:
            self._append(start)

    def write(self, *data: Buffer) -> None:
        """Write the next bytes, which must not change afterwards. Raises OSError, also of earlier writes."""
        self._appending.do(self._append_all, data)

    def when_durable(self, then: Durable) -> None:
        """Call `then` in another thread when what was written so far is on the disk. Raises as `write`."""
        self._appending.do(self._when_appended, then)

    def wait(self) -> None:
        """Wait for what was asked for: bytes appended, and durable ones recorded. Raises as `write`."""
        self._appending.wait()
        self._file.wait()

    def finish(self) -> str:
        """Flush to the disk; return the file's sha256. Raises OSError."""
        self._appending.wait()
        assert self._file.length == self._whole, "the tensors written are not those of the header"
        self._file.finish()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Close the file, finished or not."""
        self._appending.close()
        self._file.close()

    def _append_all(self, data: Sequence[Buffer]) -> None:
        for part in data:
            self._append(part)

    def _append(self, data: Buffer) -> None:
        self._sha256.update(data)
        self._file.append(data)

    def _when_appended(self, then: Durable) -> None:
        self._appending.check()
        length, sha256 = self._file.length, self._sha256.hexdigest()
        self._file.when_durable(lambda: then(length, sha256))
