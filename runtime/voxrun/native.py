"""On a CPU, layers whose weights stay in the mapped file: `voxrun.matrix` computes their products.

The modules stand where MLX's Linear and Embedding were and are called in the same way.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .device import mx, nn, on_cpu, tree_unflatten
from .linear import Embedding, Linear, QuantizedEmbedding, QuantizedLinear

try:
    from . import matrix
except ModuleNotFoundError as error:  # the `cpu` extra is not installed
    if error.name != "numba":
        raise
    matrix = None  # type: ignore[assignment]


class MappedLinear(nn.Module):
    """A linear layer with a stored matrix."""

    def __init__(self, stored: "matrix.Matrix", bias: mx.array | None) -> None:
        super().__init__()
        self._stored = stored
        if bias is not None:
            self.bias = bias

    def __call__(self, x: mx.array) -> mx.array:
        """X [..., in] -> [..., out]."""
        y = _product(x, self._stored)
        return y + self.bias if "bias" in self else y


class MappedEmbedding(nn.Module):
    """An embedding with a stored matrix, usable as the head too."""

    def __init__(self, stored: "matrix.Matrix") -> None:
        super().__init__()
        self._stored = stored

    def __call__(self, ids: mx.array) -> mx.array:
        """Ids [n] -> [n, dim]."""
        return mx.array(self._stored.take(np.asarray(ids)))

    def as_linear(self, x: mx.array) -> mx.array:
        """X [..., dim] -> [..., vocabulary]."""
        return _product(x, self._stored)


def _product(x: mx.array, stored: "matrix.Matrix") -> mx.array:
    rows = np.asarray(x.astype(mx.float32)).reshape(-1, x.shape[-1])
    return mx.array(stored.product(rows)).reshape(*x.shape[:-1], stored.rows)


def map_layers(model: nn.Module, stored: Mapping[str, Any]) -> None:
    """Replace the layers of a model that has a CPU to run on by mapped ones, as far as there are kernels.

    `stored` are the model's tensors as NumPy arrays by name, bfloat16 as `BFloat16` arrays. Does nothing on a GPU or without numba.
    """
