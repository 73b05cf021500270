"""The second moments of all inputs together, for the file that conversion reads."""

from collections.abc import Callable

import numpy as np

from voxbuild.tensors.second_moments import KEPT, Matrix, input_of
from voxrun.checkpoint.config import ModelConfig
from voxrun.model.voxtral import parameter_shapes

from .walk import Walk


def are_kept(config: ModelConfig) -> bool:
    """Whether the second moments of a model of these sizes are small enough to be kept in a file."""
    shapes = {
        name.rpartition(".")[0]: shape for name, shape in parameter_shapes(config).items() if len(shape) == 2
    }
    columns = {input_of(module): shape[1] for module, shape in shapes.items()}
    return sum(4 * n * n for n in columns.values()) <= KEPT


def second_moments(walk: Walk, done: Callable[[int], None]) -> dict[str, Matrix]:
    """First module of an input -> its second moments, float32 [n, n]. Raises ConvertError, AudioError."""
    found = {}
    for step in walk.steps(done):
        for path in dict.fromkeys(map(input_of, step.modules)):
            with np.errstate(over="ignore"):
                found[path] = step.moments(path).astype(np.float32)
    return found
