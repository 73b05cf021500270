"""Reading the weight files of a source, one or several: each once, and hashed on the way."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from voxbuild.errors import CheckpointError
from voxrun.checkpoint.tensors import Tensor
from voxrun.messages import shown

from .checkpoint import ANY_DTYPE, CHUNK_BYTES, Buffers, Checkpoint, OnePass

Stamps = Mapping[str, list[int]]


class SourceFiles:
    """Open weight files by name, and all their tensors."""

    def __init__(self, paths: Mapping[str, Path], stamps: Stamps | None = None) -> None:
        """`stamps` are those that the files must have.

        Raises CheckpointError if a file is invalid or changed, or a tensor is in two of them.
        """
        self.files: dict[str, Checkpoint] = {}
        self.places: dict[str, str] = {}
        """Tensor -> file."""
        buffers = Buffers(CHUNK_BYTES)
        with ExitStack() as opened:
            for name, path in paths.items():
                known = stamps[name] if stamps else None
                self.files[name] = opened.enter_context(Checkpoint(path, known, ANY_DTYPE, buffers))
                self._place(name)
            self._opened = opened.pop_all()
        self.tensors = {
            tensor.name: tensor for file in self.files.values() for tensor in in_order(file.tensors.values())
        }
        """Name -> tensor, in the order of the files, and in each by name."""

    def __enter__(self) -> "SourceFiles":
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    @property
    def nbytes(self) -> int:
        """Size of all files."""
        return sum(file.nbytes for file in self.files.values())

    def rows(self, tensor: Tensor, chunk_bytes: int) -> Iterator[tuple[int, memoryview]]:
        """As `Checkpoint.rows`."""
        return self.files[self.places[tensor.name]].rows(tensor, chunk_bytes)

    def _place(self, name: str) -> None:
        for tensor in self.files[name].tensors:
            if tensor in self.places:
                raise CheckpointError(f"{shown(tensor)} is in {self.places[tensor]} and in {name}")
            self.places[tensor] = name


def in_order(tensors: Collection[Tensor]) -> list[Tensor]:
    """A file's tensors by name: in this order safetensors files are written, and artifacts too."""
    return sorted(tensors, key=lambda tensor: tensor.name)


class Passes:
    """Reads the tensors of a source; the files in `hashed` are hashed in the same pass, see `OnePass`."""

    def __init__(
        self, source: SourceFiles, hashed: Collection[str], marks: Mapping[str, Any] | None = None
    ) -> None:
        """`marks` are what `mark` gave when an earlier run stopped: hashing goes on there.

        Local files have none: hashlib's state cannot be kept, so they are hashed from their first byte.
        """
        self._source = source
        self._passes = {n: OnePass(file, hashing=n in hashed) for n, file in source.files.items()}

    @property
    def tensors(self) -> Mapping[str, Tensor]:
        """Name -> tensor."""
        return self._source.tensors

    def check_unchanged(self) -> None:
        """Raises CheckpointError if a file has changed since it was opened."""
        for one in self._passes.values():
            one.check_unchanged()

    def rows(self, tensor: Tensor, together: int = 1) -> Iterator[tuple[int, memoryview]]:
        """As `OnePass.rows`."""
        return self._passes[self._source.places[tensor.name]].rows(tensor, together)

    def mark(self) -> dict[str, Any]:
        """For each hashed file how far it was hashed, and the hash's state there, as JSON; see `OnePass`."""
        return {name: mark for name, one in self._passes.items() if (mark := one.mark())}

    def sha256(self, name: str) -> str:
        """The hash of a hashed file."""
        return self._passes[name].sha256()

    def close(self) -> None:
        """Stop the threads that hash."""
        for one in self._passes.values():
            one.close()
