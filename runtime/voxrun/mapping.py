"""A safetensors file as NumPy arrays that lie in it: reading one reads its pages, and nothing is copied."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from .header import Tensor

Array = np.typing.NDArray[Any]

DTYPES = {"BF16": "<u2", "F16": "<u2", "F32": "<f4", "U32": "<u4", "U8": "u1"}
"""Half floats are their bit patterns: NumPy does not know both."""


def map_file(path: Path, tensors: Iterable[Tensor]) -> dict[str, Array]:
    """The tensors of its header by name; those of other types are left out."""
    data = np.memmap(path, np.uint8, mode="r")
    return {
        tensor.name: _part(data, tensor).view(DTYPES[tensor.dtype]).reshape(tensor.shape)
        for tensor in tensors
        if tensor.dtype in DTYPES
    }


def _part(data: Array, tensor: Tensor) -> Array:
    return data[tensor.start : tensor.start + tensor.nbytes]
