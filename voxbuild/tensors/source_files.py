"""Reading a source's weight files, one or several, here or elsewhere: each once, and hashed on the way."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from voxbuild.errors import CheckpointError
from voxrun.checkpoint.tensors import Tensor
from voxrun.messages import shown

from .checkpoint import ANY_DTYPE, CHUNK_BYTES, Buffers, Checkpoint, OnePass, TensorFile
from .streamed import Remote, Streamed

Stamps = Mapping[str, list[int] | None]


class SourceFiles:
    """Open weight files by name, and all their tensors."""

    def __init__(self, places: Mapping[str, Path | Remote], stamps: Stamps | None = None) -> None:
        """`stamps` are those that files on the disk must have.

        Raises CheckpointError if a file is invalid or changed, or a tensor is in two of them.
        """
        self.files: dict[str, TensorFile] = {}
        self.places: dict[str, str] = {}
        """Tensor -> file."""
        buffers = Buffers(CHUNK_BYTES)
        with ExitStack() as opened:
            for name, place in places.items():
                known = stamps[name] if stamps else None
                file = _open(place, known, buffers)
                self.files[name] = opened.enter_context(file)
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


def _open(place: Path | Remote, known: list[int] | None, buffers: Buffers) -> Checkpoint | Streamed:
    if isinstance(place, Remote):
        return Streamed(place, buffers)
    return Checkpoint(place, known, ANY_DTYPE, buffers)


def in_order(tensors: Collection[Tensor]) -> list[Tensor]:
    """A file's tensors by name: in this order safetensors files are written, and artifacts too."""
    return sorted(tensors, key=lambda tensor: tensor.name)


class Passes:
    """Reads the tensors of a source; the files in `hashed` are hashed in the same pass, see `OnePass`."""

    def __init__(
        self, source: SourceFiles, hashed: Collection[str], marks: Mapping[str, Any] | None = None
    ) -> None:
        """`marks`: what `mark` said in an interrupted run; reading then goes on there."""
        self._source, known = source, marks or {}
        self._passes = {
            name: OnePass(file, hashing=name in hashed, mark=known.get(name))
            for name, file in source.files.items()
        }

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
        """JSON with which another run goes on hashing here: a mark for each file that can have one.

        Bytes that were read are behind it; a file without a mark is read again from its first byte.
        """
        return {name: mark for name, one in self._passes.items() if (mark := one.mark())}

    def sha256(self, name: str) -> str:
        """The hash of a hashed file."""
        return self._passes[name].sha256()

    def close(self) -> None:
        """Stop the threads that hash."""
        for one in self._passes.values():
            one.close()
