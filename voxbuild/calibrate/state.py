"""The activations of an interrupted walk, on the disk."""

import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from voxbuild.files import read_state, write_json, written_whole
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.writer import CheckpointWriter
from voxrun.checkpoint.tensors import Tensor

from .sums import Array

IDENTITY = "identity.json"


class State:
    """A folder with what is kept after the last finished layer, in a file named by the layer's number."""

    def __init__(self, folder: Path, identity: str) -> None:
        """What was kept of a walk with another identity is deleted."""
        self._folder = folder
        if read_state(folder / IDENTITY) != identity:
            self.delete()
            folder.mkdir(parents=True)
            write_json(folder / IDENTITY, identity)

    def load(self) -> tuple[int, dict[str, Array]]:
        """How many layers are finished, and the arrays that were kept then; none is 0."""
        if not (found := self._files()):
            return 0, {}
        number = max(found)
        with Checkpoint(found[number]) as file:
            return number, {
                name: np.frombuffer(bytes(file.read(t.start, t.nbytes)), np.float32).reshape(t.shape)
                for name, t in file.tensors.items()
            }

    def save(self, number: int, arrays: Mapping[str, Array]) -> None:
        """Keep float32 arrays after `number` layers, in the place of what was kept before. Raises OSError."""
        before, path = self._files(), self._folder / f"{number}.safetensors"
        tensors = [Tensor(name, "F32", array.shape) for name, array in arrays.items()]
        with written_whole(path) as partial, closing(CheckpointWriter(partial, tensors)) as writer:
            for array in arrays.values():
                writer.write(np.ascontiguousarray(array).data.cast("B"))
            writer.finish()
        for other, old in before.items():
            if other != number:
                old.unlink()

    def delete(self) -> None:
        """Delete the folder, if it is there."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _files(self) -> dict[int, Path]:
        return {int(p.stem): p for p in self._folder.glob("*.safetensors") if p.stem.isdigit()}
