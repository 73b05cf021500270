"""Layers for a CPU whose weights stay in the mapped file: `voxrun.matrix` computes their products.

The modules stand where MLX's Linear and Embedding were and are called in the same way.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .device import mx, nn, tree_unflatten
from .linear import Embedding, Linear, QuantizedEmbedding, QuantizedLinear

if TYPE_CHECKING:
    from .matrix import FloatMatrix, Matrix

    Stored = Matrix | FloatMatrix


class MappedLinear(nn.Module):
    """A linear layer with a stored matrix."""

    def __init__(self, stored: "Stored", layer: nn.Module) -> None:
        """`layer` is the one whose place it takes."""
        super().__init__()
        self._stored = stored
        if "bias" in layer:
            self.bias = layer.bias

    def __call__(self, x: mx.array) -> mx.array:
        """X [..., in] -> [..., out]."""
        y = _product(x, self._stored)
        return y + self.bias if "bias" in self else y


class MappedConv1d(nn.Module):
    """A convolution over frames, without padding: a linear layer of each window of them."""

    def __init__(self, stored: "Stored", layer: nn.Conv1d) -> None:
        super().__init__()
        self._stored, self._stride = stored, layer.stride
        self._kernel = layer.weight.shape[1]
        self.bias = layer.bias

    def __call__(self, x: mx.array) -> mx.array:
        """X [1, n, in] -> [1, (n - kernel) // stride + 1, out]."""
        windows = sliding_window_view(np.asarray(x)[0], self._kernel, axis=0)[:: self._stride].swapaxes(1, 2)
        return mx.array(self._stored.product(windows.reshape(len(windows), -1)))[None] + self.bias


class MappedEmbedding(nn.Module):
    """An embedding with a stored matrix, usable as the head too."""

    def __init__(self, stored: "Stored") -> None:
        super().__init__()
        self._stored = stored

    def __call__(self, ids: mx.array) -> mx.array:
        """Ids [n] -> [n, dim]."""
        return mx.array(self._stored.take(np.asarray(ids)))

    def as_linear(self, x: mx.array) -> mx.array:
        """X [..., dim] -> [..., vocabulary]."""
        return _product(x, self._stored)


def map_layers(model: nn.Module, tensors: Mapping[str, mx.array], stored: Mapping[str, Any]) -> None:
    """Replace the layers that there are kernels for; `stored` are the `tensors` as they lie in the file.

    Bfloat16 numbers are uint16 in `stored`. The layers' matrices are no parameters of the model any more.
    """
    found = {path: _mapped(path, layer, tensors, stored) for path, layer in model.named_modules()}
    model.update_modules(tree_unflatten([item for item in found.items() if item[1] is not None]))


def _mapped(
    path: str, layer: nn.Module, tensors: Mapping[str, mx.array], stored: Mapping[str, Any]
) -> nn.Module | None:
    from . import matrix

    def dtype(leaf: str) -> str:
        return str(tensors[f"{path}.{leaf}"].dtype).removeprefix("mlx.core.")

    if isinstance(layer, QuantizedLinear | QuantizedEmbedding):
        if "biases" in layer and dtype("biases") != dtype("scales"):
            return None
        parts = {leaf: stored[f"{path}.{leaf}"] for leaf in ("weight", "scales", "biases") if leaf in layer}
        found: Stored | None = matrix.quantized(parts, dtype("scales"), layer.bits, layer.mode)
    elif isinstance(layer, Linear | Embedding | nn.Conv1d):
        weight = stored[f"{path}.weight"]  # of a convolution [out, kernel, in]
        found = matrix.dense(weight.reshape(len(weight), -1), dtype("weight"))
    else:
        return None
    if found is None:
        return None
    if isinstance(layer, nn.Conv1d):
        return MappedConv1d(found, layer)
    is_linear = isinstance(layer, Linear | QuantizedLinear)
    return MappedLinear(found, layer) if is_linear else MappedEmbedding(found)


def _product(x: mx.array, stored: "Stored") -> mx.array:
    rows = np.asarray(x.astype(mx.float32)).reshape(-1, x.shape[-1])
    return mx.array(stored.product(rows)).reshape(*x.shape[:-1], stored.rows)
