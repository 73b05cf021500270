"""Writing the tensors of a safetensors file in any order, each at its place."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from voxrun.checkpoint.tensors import Tensor
from voxrun.files.hashes import sha256_of

from .threads import Buffer
from .writer import header_bytes


class PlacedWriter:
    """A file of its final size, with its header; what was written to it before is kept."""

    def __init__(self, path: Path, tensors: Sequence[Tensor]) -> None:
        """Raises OSError, also if the disk has no room for the whole file."""
        header = header_bytes(tensors)
        self.path, self._starts, at = path, {}, len(header)
        for tensor in tensors:
            self._starts[tensor.name] = at
            at += tensor.nbytes
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            with self._named_errors():
                if os.fstat(self._file).st_size != at:
                    os.ftruncate(self._file, 0)
                    _reserve(self._file, at)
                self._write(0, header)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> "PlacedWriter":
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._file)

    def write(self, name: str, offset: int, data: Buffer) -> int:
        """Write bytes of a tensor from `offset` on; return the offset behind them. Raises OSError."""
        self._write(self._starts[name] + offset, data)
        return offset + memoryview(data).nbytes

    def read(self, tensor: Tensor, step: int = 2**20) -> Iterator[bytes]:
        """What is at a tensor's place, in blocks. Raises OSError."""
        for offset in range(0, tensor.nbytes, step):
            yield os.pread(self._file, min(step, tensor.nbytes - offset), self._starts[tensor.name] + offset)

    def sync(self) -> None:
        """Flush to the disk. Raises OSError."""
        with self._named_errors():
            os.fsync(self._file)

    def finish(self) -> str:
        """Flush to the disk; return the file's sha256. Raises OSError."""
        self.sync()
        return sha256_of(self.path)

    def _write(self, at: int, data: Buffer) -> None:
        rest = memoryview(data).cast("B")
        with self._named_errors():
            while rest:  # a write may be partial
                written = os.pwrite(self._file, rest, at)
                rest, at = rest[written:], at + written

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Add the file's name to errors of its descriptor."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def _reserve(descriptor: int, size: int) -> None:
    """Make the file this long, with room on the disk for all of it where the system can promise that."""
    if size and hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
