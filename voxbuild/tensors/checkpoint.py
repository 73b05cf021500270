"""Reading safetensors files: a header read without trust, and rows of tensors, in one pass where need be.

Format: 8 bytes little-endian header length, a JSON header, the data without holes.
"""

import hashlib
import os
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np

from voxbuild.errors import CheckpointError
from voxbuild.files import stamp
from voxrun.checkpoint import tensors as headers
from voxrun.checkpoint.tensors import Tensor
from voxrun.errors import WeightsError
from voxrun.files.paths import StrictError, open_regular
from voxrun.messages import shown

from .threads import InTurn


class Buffers:
    """Buffers of one size; each is free again when nobody looks at it, or at a part of it, any more."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._lent: dict[int, tuple[object, bytearray]] = {}
        # Told by a method of a list, not by code of ours: Python drops a Ctrl-C that comes within a callback.
        self._returned: list[object] = []

    def take(self, nbytes: int) -> memoryview:
        """A buffer's first bytes; a new one where all are in use, or too small."""
        if nbytes > self._nbytes:
            return memoryview(bytearray(nbytes))
        memory = self._free() or bytearray(self._nbytes)
        seen = np.frombuffer(memory, np.uint8)  # every view keeps it alive: its end is that of the last one
        watch = weakref.ref(seen, self._returned.append)
        self._lent[id(watch)] = watch, memory
        return seen.data[:nbytes]

    def _free(self) -> bytearray | None:
        return self._lent.pop(id(self._returned.pop()))[1] if self._returned else None


DTYPES = ("BF16", "F16", "F32", "U32", "U8")
"""What a checkpoint or an artifact may hold, of the types that there are."""
BUFFER_BYTES = 2 * 2**20
"""What is read at a time, mostly: it fits a processor's cache on the way to a hash and a kernel."""
MAX_ROW = 2**20
"""Bytes of a row, which is the least that is read at a time; upstream's largest has some 20 kB."""


class Checkpoint:
    """An open safetensors file: its header, and any rows of its tensors."""

    def __init__(self, path: Path, known: list[int] | None = None) -> None:
        """`known` is the stamp that the file must have.

        Raises CheckpointError if the header and the file's size do not agree, or the file is another by now.
        """
        self.path = path
        self._buffers = Buffers(BUFFER_BYTES)
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
                tensors = _of_our_kind(headers.read_header(self._file, path), path)
            self.tensors = {tensor.name: tensor for tensor in tensors}
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def nbytes(self) -> int:
        """Size of the file."""
        return self._stamp[0]

    def check_unchanged(self) -> None:
        """Raises CheckpointError if the file is not what it was when it was first looked at."""
        if not self.path.is_file() or stamp(self.path) != self._stamp:
            raise CheckpointError(f"{self.path}: it changed meanwhile; run it again")

    def rows(self, tensor: Tensor, chunk_bytes: int) -> Iterator[tuple[int, memoryview]]:
        """(number of rows, their bytes) in chunks of at most `chunk_bytes`, at least one row each.

        Raises CheckpointError if the file ends too early or cannot be read.
        """
        count = tensor.rows
        step = max(1, chunk_bytes // max(1, tensor.row_bytes))
        for first in range(0, count, step):
            rows = min(step, count - first)
            yield rows, self.read(tensor.start + first * tensor.row_bytes, rows * tensor.row_bytes)

    def read(self, start: int, nbytes: int) -> memoryview:
        """Bytes from `start` on. Raises CheckpointError if there are fewer, or the disk fails."""
        data = self._buffers.take(nbytes)
        try:
            count = 0
            while got := os.preadv(self._file.fileno(), [data[count:]], start + count):
                count += got
        except OSError as error:
            where = f"{self.path}: cannot be read at byte {start:,}"
            raise CheckpointError(f"{where}: {error.strerror}; run it again") from error
        if count != nbytes:
            raise CheckpointError(f"{self.path}: ends too early; it changed or is damaged")
        return data


def header_length(prefix: bytes, total: int, origin: Path | str) -> int:
    """The length of the JSON behind a file's first 8 bytes. Raises CheckpointError."""
    with _as_checkpoint_error():
        return headers.header_length(prefix, total, origin)


def parse_header(text: bytes, total: int, origin: Path | str) -> list[Tensor]:
    """The tensors that a header's JSON tells of, in the order of their data; `total` is the file's size.

    Raises CheckpointError.
    """
    with _as_checkpoint_error():
        return _of_our_kind(headers.parse_header(text, total, origin), origin)


def _of_our_kind(tensors: list[Tensor], origin: Path | str) -> list[Tensor]:
    for tensor in tensors:
        if tensor.dtype not in DTYPES:
            raise CheckpointError(f"{origin}: {shown(tensor.name)} has the dtype {tensor.dtype}")
        if tensor.row_bytes > MAX_ROW:
            raise CheckpointError(
                f"{origin}: {shown(tensor.name)} has rows of {tensor.row_bytes:,} bytes, as no model of ours"
            )
    return tensors


@contextmanager
def _as_checkpoint_error() -> Iterator[None]:
    """Voxrun reads headers; here what it refuses is a damaged checkpoint."""
    try:
        yield
    except WeightsError as error:
        raise CheckpointError(str(error)) from error


CHUNK_BYTES = BUFFER_BYTES
"""Bytes read at a time: what bounds memory."""


class OnePass:
    """The tensors of a checkpoint; some may be left out. While hashing they come in the order of the file."""

    def __init__(self, checkpoint: Checkpoint, *, hashing: bool) -> None:
        """Without `hashing` what lies between the tensors is not read."""
        self.checkpoint = checkpoint
        self._sha256 = hashlib.sha256() if hashing else None
        self._hashing = InTurn()
        self._at = 0

    def rows(self, tensor: Tensor) -> Iterator[tuple[int, memoryview]]:
        """(number of rows, their bytes), at least a row each, of a tensor.

        Raises CheckpointError if the file ends too early or cannot be read.
        """
        self._pass_over(tensor.start)
        for count, data in self.checkpoint.rows(tensor, CHUNK_BYTES):
            self._take(data)
            yield count, data

    def sha256(self) -> str:
        """The hash of the file, what was left out included."""
        assert self._sha256, "nothing was hashed"
        self._pass_over(self.checkpoint.nbytes)
        self._hashing.wait()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Let go of the thread that hashes."""
        self._hashing.close()

    def _pass_over(self, end: int) -> None:
        if self._sha256:
            assert self._at <= end, "tensors must come in the order of the file"
            while self._at < end:
                self._take(self.checkpoint.read(self._at, min(CHUNK_BYTES, end - self._at)))

    def _take(self, data: memoryview) -> None:
        if self._sha256:
            self._at += len(data)
            self._hashing.do(self._sha256.update, data)
