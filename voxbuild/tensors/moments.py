"""The result of a calibration, the second moments of each matrix's inputs, and its file."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.files import written_whole
from voxrun.checkpoint.tensors import Tensor

from .checkpoint import Checkpoint
from .writer import CheckpointWriter

Array = np.typing.NDArray[Any]
Moments = Mapping[str, Array]
"""Canonical path of a module -> float32 [columns]: the second moments of its matrix's inputs."""
NO_MOMENTS: Moments = {}


def save_moments(path: Path, moments: Moments) -> str:
    """Write moments as safetensors; return the file's sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = [Tensor(name, "F32", values.shape) for name, values in moments.items()]
    with written_whole(path) as partial, closing(CheckpointWriter(partial, tensors)) as writer:
        for values in moments.values():
            writer.write(values.tobytes())
        return writer.finish()


def load_moments(path: Path) -> Moments:
    """Read the file of `save_moments`. Raises CheckpointError."""
    with Checkpoint(path) as file:
        return {
            name: np.frombuffer(b"".join(data for _, data in file.rows(tensor, tensor.nbytes)), np.float32)
            for name, tensor in file.tensors.items()
        }
