"""safetensors files: a header read without trust, tensors read by rows, and a writer of equal bytes.

`mx.save_safetensors` writes tensors in the order of a hash map and aligns nothing; ours is sequential,
in the order it is told, with the data starting at a multiple of 64, and hashes what it writes.
Format: 8 bytes little-endian header length, a JSON header, the data without holes.
"""

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from voxrun.checkpoint import tensors as headers
from voxrun.checkpoint.tensors import PREFIX, Tensor
from voxrun.errors import WeightsError
from voxrun.files.paths import StrictError, open_regular
from voxrun.messages import shown

from .background import Buffer, InTurn
from .buffers import Buffers
from .errors import CheckpointError
from .files import stamp

__all__ = [
    "PREFIX",
    "Checkpoint",
    "CheckpointWriter",
    "Tensor",
    "header_bytes",
    "header_length",
    "parse_header",
]

DTYPES = ("BF16", "F16", "F32", "U32", "U8")
"""What a checkpoint or an artifact may hold, of the types that there are."""
SYNC_BYTES = 256 * 2**20
"""What goes to the disk at a time while more is written: there is little to wait for in the end."""
ALIGNMENT = 64
BUFFER_BYTES = 2 * 2**20
"""What is read at a time, mostly: it fits a processor's cache on the way to a hash and a kernel."""
MAX_ROW = 2**20
"""Bytes of a row, which is the least that is read at a time; upstream's largest has some 20 kB."""
METADATA = {"format": "mlx"}


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


def header_bytes(tensors: Sequence[Tensor]) -> bytes:
    """Length and JSON of a file's header, padded so that the data is aligned."""
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
    """Writes the tensors it was told of, in that order, and hashes the file on the way, beside the caller."""

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
        """The next bytes of data, which must not change afterwards. Raises OSError, for earlier ones too."""
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
        """Let go of the file, finished or not."""
        self._appending.close()
        self._syncing.close()
        self._file.close()

    def _append(self, data: Buffer) -> None:
        self._sha256.update(data)
        rest = memoryview(data)
        with self._named_errors():
            while rest:  # a write may take less than it is given
                rest = rest[self._file.write(rest) :]

    def _sync(self, descriptor: int) -> None:
        with self._named_errors():
            os.fsync(descriptor)

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """What fails with a descriptor does not say with which file."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
