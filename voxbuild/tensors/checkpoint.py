"""Reading safetensors files, which are untrusted: the header, and rows of tensors, in one pass if needed.

Format: 8 bytes little-endian header length, a JSON header, the data without holes.
"""

import hashlib
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxbuild.errors import CheckpointError
from voxbuild.files import stamp
from voxrun.checkpoint import tensors as headers
from voxrun.checkpoint.tensors import Tensor
from voxrun.errors import WeightsError
from voxrun.files.paths import StrictError, open_regular
from voxrun.messages import shown

from .threads import InTurn


class Buffers:
    """Buffers of one size; each is reused after the last view of it is deleted."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._lent: dict[int, tuple[object, bytearray]] = {}
        # Filled by a built-in method: Python loses a Ctrl-C that arrives within a callback in Python.
        self._returned: list[object] = []

    def take(self, nbytes: int) -> memoryview:
        """The first `nbytes` of a buffer; a new one if all are in use, or too small."""
        if nbytes > self._nbytes:
            return memoryview(bytearray(nbytes))
        import numpy as np

        memory = self._free() or bytearray(self._nbytes)
        seen = np.frombuffer(memory, np.uint8)  # it is alive as long as any view of it
        watch = weakref.ref(seen, self._returned.append)
        self._lent[id(watch)] = watch, memory
        return seen.data[:nbytes]

    def _free(self) -> bytearray | None:
        return self._lent.pop(id(self._returned.pop()))[1] if self._returned else None


DTYPES = ("BF16", "F16", "F32", "U32", "U8")
"""The dtypes that an artifact may have."""
ANY_DTYPE = tuple(headers.ITEM_SIZE)
"""The dtypes that a source's file may have; the plan refuses those that it cannot convert, by name."""
CHUNK_BYTES = 2 * 2**20
"""Bytes read at a time, to limit memory: they fit a processor's cache while they are hashed and converted."""
MAX_ROW = 2**20
"""Limit of a row in bytes, since at least one row is read at a time; upstream's largest has about 20 kB."""


class TensorFile(ABC):
    """A safetensors file, wherever it is: its tensors by name, and their rows."""

    tensors: Mapping[str, Tensor]

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Size of the file."""

    @abstractmethod
    def read(self, start: int, nbytes: int) -> memoryview:
        """`nbytes` bytes from `start`. Raises CheckpointError if there are fewer, or they cannot be read."""

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raises CheckpointError if the file has changed since it was opened."""

    def hasher(self, mark: Any = None) -> tuple[Any, int]:
        """What hashes the whole file, and how many bytes it has hashed: those before a usable `mark`."""
        return hashlib.sha256(), 0

    def mark_of(self, sha256: Any) -> dict[str, Any]:
        """JSON with which `hasher` goes on where this hash is; {}: it cannot."""
        return {}

    def rows(self, tensor: Tensor, chunk_bytes: int) -> Iterator[tuple[int, memoryview]]:
        """(number of rows, their bytes) in chunks of at most `chunk_bytes`, at least one row each.

        Raises CheckpointError if the file is truncated or cannot be read.
        """
        step = max(1, chunk_bytes // max(1, tensor.row_bytes))
        for first in range(0, tensor.rows, step):
            rows = min(step, tensor.rows - first)
            yield rows, self.read(tensor.start + first * tensor.row_bytes, rows * tensor.row_bytes)


class Checkpoint(TensorFile):
    """An open safetensors file on the disk."""

    def __init__(
        self,
        path: Path,
        known: list[int] | None = None,
        dtypes: Collection[str] = DTYPES,
        buffers: Buffers | None = None,
    ) -> None:
        """`known` is the stamp that the file must have, `dtypes` are those that its tensors may have.

        Several files can share `buffers`, if one thread reads them all.

        Raises CheckpointError if the header is invalid or does not fit the file's size, or the stamp differs.
        """
        self.path = path
        self._buffers = buffers or Buffers(CHUNK_BYTES)
        try:
            self._file = open_regular(path)
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from error
        except StrictError as error:
            raise CheckpointError(f"{path}: {error}") from error
        try:
            self._stamp = known or stamp(path)
            self.check_unchanged()
            with _as_checkpoint_error():
                tensors = _checked(headers.read_header(self._file, path), path, dtypes)
            self.tensors = {tensor.name: tensor for tensor in tensors}
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self._stamp[0]

    @property
    def descriptor(self) -> int:
        """The open file's, for `os.pread`, which any thread may call."""
        return self._file.fileno()

    def check_unchanged(self) -> None:
        """Raises CheckpointError if the file has changed since it was opened, or since `known`."""
        if not self.path.is_file() or stamp(self.path) != self._stamp:
            raise CheckpointError(f"{self.path}: it changed while it was read; run it again")

    def read(self, start: int, nbytes: int) -> memoryview:
        """`nbytes` bytes from `start`. Raises CheckpointError if there are fewer, or the disk fails."""
        data = self._buffers.take(nbytes)
        try:
            count = 0
            while got := os.preadv(self._file.fileno(), [data[count:]], start + count):
                count += got
        except OSError as error:
            where = f"{self.path}: cannot be read at byte {start:,}"
            raise CheckpointError(f"{where}: {error.strerror}; run it again") from error
        if count != nbytes:
            raise CheckpointError(f"{self.path}: truncated; it changed or is damaged")
        return data


def header_length(prefix: bytes, total: int, origin: Path | str) -> int:
    """The length of the JSON header, from a file's first 8 bytes. Raises CheckpointError."""
    with _as_checkpoint_error():
        return headers.header_length(prefix, total, origin)


def parse_header(text: bytes, total: int, origin: Path | str) -> list[Tensor]:
    """The tensors of a source's JSON header in the order of their data; `total` is the file's size.

    Raises CheckpointError.
    """
    with _as_checkpoint_error():
        return _checked(headers.parse_header(text, total, origin), origin, ANY_DTYPE)


def _checked(tensors: list[Tensor], origin: Path | str, dtypes: Collection[str]) -> list[Tensor]:
    """The tensors. Raises CheckpointError for other dtypes and for long rows."""
    for tensor in tensors:
        if tensor.dtype not in dtypes:
            raise CheckpointError(f"{origin}: {shown(tensor.name)} has the dtype {tensor.dtype}")
        if tensor.row_bytes > MAX_ROW:
            row = f"rows of {tensor.row_bytes:,} bytes; the limit is {MAX_ROW:,}"
            raise CheckpointError(f"{origin}: {shown(tensor.name)} has {row}")
    return tensors


@contextmanager
def _as_checkpoint_error() -> Iterator[None]:
    """Turn voxrun's WeightsError into a CheckpointError."""
    try:
        yield
    except WeightsError as error:
        raise CheckpointError(str(error)) from error


class OnePass:
    """Reads tensors of a checkpoint and, with `hashing`, hashes the whole file in the same pass.

    With `hashing`, tensors must be read in the order of the file; the bytes between them are read too.
    """

    def __init__(self, checkpoint: TensorFile, *, hashing: bool, mark: Any = None) -> None:
        """`mark`: what `mark` said in an earlier pass, which this one continues from there."""
        self.checkpoint = checkpoint
        self._hashing = InTurn()
        self._sha256: Any
        self._sha256, self._at = checkpoint.hasher(mark) if hashing else (None, 0)

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Name -> tensor."""
        return self.checkpoint.tensors

    def check_unchanged(self) -> None:
        """Raises CheckpointError if the file has changed since it was opened."""
        self.checkpoint.check_unchanged()

    def rows(self, tensor: Tensor, together: int = 1) -> Iterator[tuple[int, memoryview]]:
        """(number of rows, their bytes) in chunks of a tensor: whole groups of `together` rows, at least one.

        Raises CheckpointError if the file is truncated or cannot be read.
        """
        self._hash_up_to(tensor.start)
        group = max(1, together * tensor.row_bytes)
        for count, data in self.checkpoint.rows(tensor, max(1, CHUNK_BYTES // group) * group):
            self._hash(data)
            yield count, data

    def sha256(self) -> str:
        """The hash of the whole file."""
        assert self._sha256, "nothing was hashed"
        self._hash_up_to(self.checkpoint.nbytes)
        self._hashing.wait()
        return str(self._sha256.hexdigest())

    def mark(self) -> dict[str, Any]:
        """JSON with which another pass goes on here; {}: it must begin at the first byte, or hashes none."""
        self._hashing.wait()
        return self.checkpoint.mark_of(self._sha256) if self._sha256 else {}

    def close(self) -> None:
        """Stop the thread that hashes."""
        self._hashing.close()

    def _hash_up_to(self, end: int) -> None:
        if self._sha256:
            assert self._at <= end, "tensors must come in the order of the file"
            while self._at < end:
                self._hash(self.checkpoint.read(self._at, min(CHUNK_BYTES, end - self._at)))

    def _hash(self, data: memoryview) -> None:
        if self._sha256:
            self._at += len(data)
            self._hashing.do(self._sha256.update, data)
