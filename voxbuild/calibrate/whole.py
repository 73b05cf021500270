"""The second moments of all inputs at once, as the file that conversion reads."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from voxbuild.tensors.second_moments import Matrix, input_of

from .recordings import Recording
from .walk import Walk


def second_moments(walk: Walk) -> dict[str, Matrix]:
    """First module of an input -> its second moments, float32 [n, n]."""
    found = {}
    for step in walk:
        for path in dict.fromkeys(map(input_of, step.modules)):
            found[path] = step.moments(path).astype(np.float32)
        step.finish({})
    return found
