"""safetensors files: a header read without trust, tensors read by rows, and a writer of equal bytes.

`mx.save_safetensors` writes tensors in the order of a hash map and aligns nothing; ours is sequential,
in the order it is told, with the data starting at a multiple of 64, and hashes what it writes.
Format: 8 bytes little-endian header length, a JSON header, the data without holes.
"""

import hashlib
import json
import math
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from .background import Buffer, InTurn
from .buffers import Buffers
from .errors import CheckpointError
from .workspace import stamp

ITEM_SIZE = {"BF16": 2, "F16": 2, "F32": 4, "U32": 4, "U8": 1}
PREFIX = 8
"""Bytes of the header's length, before it."""
SYNC_BYTES = 256 * 2**20
"""What goes to the disk at a time while more is written: there is little to wait for in the end."""
MAX_HEADER = 100 * 2**20
ALIGNMENT = 64
BUFFER_BYTES = 2 * 2**20
"""What is read at a time, mostly: it fits a processor's cache on the way to a hash and a kernel."""
METADATA = {"format": "mlx"}


@dataclass(frozen=True)
class Tensor:
    """A tensor's entry in a header; `start` is its offset in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int = 0

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of data."""
        return self.size * ITEM_SIZE[self.dtype]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row along the first axis."""
        return self.nbytes // self.rows if self.rows else 0

    @property
    def rows(self) -> int:
        """Rows along the first axis; a number alone is one."""
        return self.shape[0] if self.shape else 1


class Checkpoint:
    """An open safetensors file: its header, and any rows of its tensors."""

    def __init__(self, path: Path, known: list[int] | None = None) -> None:
        """`known` is the stamp that the file must have.

        Raises CheckpointError if the header and the file's size do not agree, or the file is another by now.
        """
        self.path = path
        self._buffers = Buffers(BUFFER_BYTES)
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise CheckpointError(f"{path}: {error.strerror}") from error
        try:
            self._stamp = known or stamp(path)
            self.check_unchanged()
            self.tensors = {tensor.name: tensor for tensor in read_header(self._file, path)}
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


def read_header(file: BinaryIO, path: Path) -> list[Tensor]:
    """The tensors of a file in the order of their data. Raises CheckpointError."""
    total = os.fstat(file.fileno()).st_size
    return parse_header(file.read(header_length(file.read(PREFIX), total, path)), total, path)


def header_length(prefix: bytes, total: int, origin: Path | str) -> int:
    """The length of the JSON behind a file's first 8 bytes. Raises CheckpointError."""
    length = int(struct.unpack("<Q", prefix)[0]) if len(prefix) == PREFIX else 0
    if not 2 <= length <= min(MAX_HEADER, total - PREFIX):
        raise CheckpointError(f"{origin}: not a safetensors file, or cut off in its header")
    return length


def parse_header(text: bytes, total: int, origin: Path | str) -> list[Tensor]:
    """The tensors that a header's JSON tells of, in the order of their data; `total` is the file's size.

    Raises CheckpointError.
    """
    end = PREFIX + len(text)
    try:
        tensors = [_entry(n, e, end) for n, e in json.loads(text).items() if n != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{origin}: its header is damaged ({error})") from error
    tensors.sort(key=lambda t: (t.start, t.nbytes))
    for tensor in tensors:
        if tensor.start != end:
            raise CheckpointError(f"{origin}: the data of {tensor.name} overlaps or leaves a hole")
        end += tensor.nbytes
    if end != total:
        kind = "truncated" if total < end else "longer than its header says"
        raise CheckpointError(f"{origin}: {kind}: {total:,} bytes instead of {end:,}")
    return tensors


def _entry(name: str, raw: dict[str, Any], base: int) -> Tensor:
    if raw["dtype"] not in ITEM_SIZE:
        raise ValueError(f"{name} has the dtype {raw['dtype']}")
    shape = tuple(_count(n) for n in raw["shape"])
    start, end = (_count(n) for n in raw["data_offsets"])
    tensor = Tensor(name, raw["dtype"], shape, base + start)
    if end - start != tensor.nbytes:
        raise ValueError(f"{name}: shape and offsets do not agree")
    return tensor


def _count(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("a size or an offset is no natural number")
    return value


def header_bytes(tensors: Sequence[Tensor]) -> bytes:
    """Length and JSON of a file's header, padded so that the data is aligned."""
    header: dict[str, Any] = {"__metadata__": METADATA}
    offset = 0
    for t in tensors:
        ends = [offset, offset + t.nbytes]
        header[t.name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": ends}
        offset = ends[1]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


class CheckpointWriter:
    """Writes the tensors it was told of, in that order, and hashes the file on the way, beside the caller."""

    def __init__(self, path: Path, tensors: Sequence[Tensor]) -> None:
        header = header_bytes(tensors)
        self._expected = sum(tensor.nbytes for tensor in tensors)
        self._written = 0
        self._sha256 = hashlib.sha256()
        self._path = path
        self._file = path.open("wb", buffering=0)
        try:
            self._append(header)
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
