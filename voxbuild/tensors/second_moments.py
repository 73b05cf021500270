"""The second moments H of the network's inputs, and their file: H = mean over positions of x x^T.

The file has one float32 [n, n] tensor for each input, named by the first module that has this input; and how
much was heard for it.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.files import written_whole
from voxrun.checkpoint.tensors import Tensor

from .checkpoint import Checkpoint
from .writer import CheckpointWriter

Matrix = np.typing.NDArray[Any]
HEAD = "language_model.embed_tokens"
"""The embedding, which is the output head too: its moments are the head's."""
SAME_INPUT = {"k_proj": "q_proj", "v_proj": "q_proj", "up_proj": "gate_proj"}
"""The last word of a module's path -> that of the first module with the same input."""
KEPT = 10**9
"""Bytes of all matrices as float32 up to which they are kept in a file; larger ones are used in passing."""


def input_of(module: str) -> str:
    """The canonical path of the first module that has the same input as this one."""
    parent, dot, name = module.rpartition(".")
    return parent + dot + SAME_INPUT.get(name, name)


@dataclass(frozen=True)
class Heard:
    """What was heard to measure second moments."""

    recordings: int
    seconds: float

    @property
    def facts(self) -> dict[str, Any]:
        """For lock, manifest and card."""
        return {"recordings": self.recordings, "seconds": round(self.seconds, 1)}


def save_second_moments(path: Path, moments: Mapping[str, Matrix], heard: Heard) -> str:
    """Write matrices [n, n] by the path of an input's first module; return the file's sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {name: np.array([value], np.float32) for name, value in heard.facts.items()}
    arrays = about | dict(sorted(moments.items()))
    tensors = [Tensor(name, "F32", array.shape) for name, array in arrays.items()]
    with written_whole(path) as partial, closing(CheckpointWriter(partial, tensors)) as writer:
        for array in arrays.values():
            with np.errstate(over="ignore"):
                writer.write(np.ascontiguousarray(array, np.float32).tobytes())
        return writer.finish()


class SecondMoments:
    """The file of `save_second_moments`, open; a matrix is read when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Raises CheckpointError if the file is missing or damaged."""
        self._file = Checkpoint(path)

    def __enter__(self) -> "SecondMoments":
        return self

    def __exit__(self, *error: object) -> None:
        self._file.__exit__(*error)

    @property
    def path(self) -> Path:
        """Of the file."""
        return self._file.path

    @property
    def names(self) -> list[str]:
        """The inputs that it has moments of, by their first module."""
        return [name for name, tensor in self._file.tensors.items() if len(tensor.shape) == 2]

    def has(self, module: str) -> bool:
        """Whether there are moments of a module's input."""
        return input_of(module) in self._file.tensors

    @property
    def heard(self) -> Heard:
        """What was heard. Raises CheckpointError if the file does not say."""
        return Heard(int(self._number("recordings")), round(self._number("seconds"), 1))

    def of(self, module: str) -> Matrix | None:
        """The second moments of a module's input, float64 [n, n]; None if the file has none."""
        return self._read(input_of(module))

    def _number(self, name: str) -> float:
        found = self._read(name)
        return 0.0 if found is None else float(found.reshape(-1)[0])

    def _read(self, name: str) -> Matrix | None:
        if (tensor := self._file.tensors.get(name)) is None:
            return None
        data = self._file.read(tensor.start, tensor.nbytes)
        return np.frombuffer(data, np.float32).reshape(tensor.shape).astype(np.float64)
