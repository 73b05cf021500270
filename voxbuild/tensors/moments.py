"""What calibration tells: how large the inputs of each matrix are, column by column; and its file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.errors import ConvertError
from voxbuild.files import written_whole
from voxbuild.plan.planner import Plan
from voxrun.checkpoint.tensors import Tensor

from .checkpoint import Checkpoint
from .modes import ACTIVATION
from .writer import CheckpointWriter

Array = np.typing.NDArray[Any]
Moments = Mapping[str, Array]
"""Canonical path of a module -> float32 [columns]: the second moments of its matrix's inputs."""
NO_MOMENTS: Moments = {}


def save_moments(path: Path, moments: Moments) -> str:
    """Write them as safetensors; return the file's sha256."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = [Tensor(name, "F32", values.shape) for name, values in moments.items()]
    with written_whole(path) as partial:
        writer = CheckpointWriter(partial, tensors)
        try:
            for values in moments.values():
                writer.write(values.tobytes())
            return writer.finish()
        finally:
            writer.close()


def load_moments(path: Path) -> Moments:
    """Read what `save_moments` wrote. Raises CheckpointError."""
    with Checkpoint(path) as file:
        return {
            name: np.frombuffer(b"".join(data for _, data in file.rows(tensor, tensor.nbytes)), np.float32)
            for name, tensor in file.tensors.items()
        }


def check_moments(plan: Plan, moments: Moments) -> None:
    """Raises ConvertError unless there are moments for each matrix whose search needs them."""
    for tensor in plan.tensors:
        if tensor.quantization is None or tensor.quantization.search != ACTIVATION:
            continue
        found = moments.get(tensor.module)
        if found is None or found.shape != tensor.shape[1:] or not np.isfinite(found).all():
            raise ConvertError(
                f"{tensor.module}: the calibration tells nothing usable of its {tensor.shape[1]} inputs;"
                " calibrate again, or give it a rule with another search"
            )
