"""Layers for a CPU, whose weights stay in the mapped file; `voxrun.model.cpu.packed` computes with them.

The modules replace MLX's Linear, Embedding, Conv1d and RMSNorm and are called in the same way, with arrays of
MLX or of NumPy; they answer in kind.
"""

import mmap
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from voxrun.arrays import FloatArray
from voxrun.device import mx, nn, tree_unflatten
from voxrun.model.linear import Embedding, Linear, QuantizedEmbedding, QuantizedLinear

from .dense import FloatMatrix
from .functions import rms_norm
from .tiled import Tiled

if TYPE_CHECKING:
    from .packed import Matrix

    Stored = Matrix | FloatMatrix

SMALL_MODEL = 2**26
"""Bytes of float32 up to which a model is unpacked: loading the kernels would take longer than they save."""
QUANTIZED = QuantizedLinear | QuantizedEmbedding
DENSE = Linear | Embedding | nn.Conv1d


class MappedLinear(nn.Module):
    """A linear layer with a stored matrix."""

    def __init__(self, stored: "Stored", layer: nn.Module) -> None:
        """`layer` is the one that it replaces."""
        super().__init__()
        self._stored = stored
        if "bias" in layer:
            self.bias = layer.bias

    def __call__(self, x: Any) -> Any:
        """X [..., in] -> [..., out]."""
        if not isinstance(x, np.ndarray):
            return mx.array(self(np.asarray(x.astype(mx.float32))))
        return self._biased(self._stored.product(x.reshape(-1, x.shape[-1])), x.shape)

    def _biased(self, products: FloatArray, shape: tuple[int, ...]) -> FloatArray:
        """Products [n, out] -> [..., out], for x of this shape."""
        y = products.reshape(*shape[:-1], -1)
        if "bias" in self:
            y += self._bias
        return y

    @cached_property
    def _bias(self) -> FloatArray:
        return np.asarray(self.bias)


def outputs(layers: Sequence[Any], x: Any) -> list[Any]:
    """Each layer's output for the same x; cores share packed matrices as if they were one."""
    matrices: list[Any] = [layer._stored for layer in layers if isinstance(layer, MappedLinear)]
    packed = len(matrices) == len(layers) and all(hasattr(matrix, "how") for matrix in matrices)
    if not packed or not isinstance(x, np.ndarray):
        return [layer(x) for layer in layers]
    from .packed import products

    found = products(matrices, x.reshape(-1, x.shape[-1]))
    return [layer._biased(y, x.shape) for layer, y in zip(layers, found, strict=True)]


class MappedConv1d(nn.Module):
    """A convolution over frames, without padding: a linear layer applied to each window of frames."""

    def __init__(self, stored: "Stored", layer: nn.Conv1d) -> None:
        super().__init__()
        self._stored, self._stride = stored, layer.stride
        self._kernel = layer.weight.shape[1]
        self.bias = layer.bias

    def __call__(self, x: Any) -> Any:
        """X [1, n, in] -> [1, (n - kernel) // stride + 1, out]."""
        if not isinstance(x, np.ndarray):
            return mx.array(self(np.asarray(x)))
        windows = sliding_window_view(x[0], self._kernel, axis=0)[:: self._stride].swapaxes(1, 2)
        y = self._stored.product(windows.reshape(len(windows), -1))
        y += self._bias
        return y[None]

    @cached_property
    def _bias(self) -> FloatArray:
        return np.asarray(self.bias)


class MappedEmbedding(nn.Module):
    """An embedding with a stored matrix, usable as the head too."""

    def __init__(self, stored: "Stored") -> None:
        super().__init__()
        self._stored = stored

    def __call__(self, ids: Any) -> Any:
        """Ids [n] -> [n, dim]."""
        rows = self._stored.take(np.asarray(ids))
        return rows if isinstance(ids, np.ndarray) else mx.array(rows)

    def as_linear(self, x: Any) -> Any:
        """X [..., dim] -> [..., vocabulary]."""
        if not isinstance(x, np.ndarray):
            return mx.array(self.as_linear(np.asarray(x.astype(mx.float32))))
        return self._stored.product(x.reshape(-1, x.shape[-1])).reshape(*x.shape[:-1], -1)


class MappedNorm(nn.RMSNorm):
    """A norm that takes NumPy's arrays too."""

    def __call__(self, x: Any) -> Any:
        """X [..., dim] -> [..., dim]."""
        return rms_norm(x, self._scale, self.eps) if isinstance(x, np.ndarray) else super().__call__(x)

    @cached_property
    def _scale(self) -> FloatArray:
        return np.asarray(self.weight)


def map_layers(model: nn.Module, tensors: Mapping[str, mx.array], stored: Mapping[str, Any]) -> None:
    """Replace the layers that have matrices; `stored` are the `tensors` in the mapped file.

    Bfloat16 numbers are uint16 in `stored`. The replaced matrices are no longer parameters of the model.
    Layers without a kernel, and all of a large model if numba is missing, are left to MLX; if there are none,
    the model computes with NumPy's arrays.
    """
    layers = {path: layer for path, layer in model.named_modules() if isinstance(layer, QUANTIZED | DENSE)}
    if 4 * sum(map(_weights, layers.values())) <= SMALL_MODEL:
        found = {path: _unpacked(path, layer, tensors) for path, layer in layers.items()}
    elif find_spec("numba") is not None:
        found = {path: _mapped(path, layer, tensors, stored) for path, layer in layers.items()}
    else:
        return
    new = [(path, _layer(layers[path], matrix)) for path, matrix in found.items() if matrix is not None]
    norms = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.RMSNorm)]
    new += [(path, MappedNorm(len(layer.weight), layer.eps)) for path, layer in norms]
    model.update_modules(tree_unflatten(new))
    if None not in found.values():
        model.compute_in_numpy()


def round_as_before(model: nn.Module) -> None:
    """Compute, more slowly, with the roundings of the time before NumPy's arrays went from layer to layer.

    What was made from activations, such as searched weights, keeps its bytes.
    """
    from .earlier import as_before

    model.compute_in_numpy(False)
    for layer in model.modules():
        if isinstance(layer, MappedLinear | MappedConv1d | MappedEmbedding):
            before: Any = as_before(layer._stored)  # it takes the other's place
            layer._stored = before


def round_alike(model: nn.Module) -> None:
    """Compute, a little more slowly, with the same roundings on any number of cores."""
    for layer in model.modules():
        if isinstance(layer, MappedLinear | MappedConv1d | MappedEmbedding):
            alike: Any = Tiled(layer._stored)  # it takes the other's place
            layer._stored = alike


def release_pages(model: nn.Module) -> None:
    """Give the memory of mapped weights back; they are read again when they are needed."""
    for mapping in {id(found): found for layer in model.modules() for found in _mappings(layer)}.values():
        mapping.madvise(mmap.MADV_DONTNEED)


def _mappings(layer: nn.Module) -> Iterator[mmap.mmap]:
    """The mapped files that a layer's stored arrays are views of."""
    stored = getattr(layer, "_stored", None)
    for array in vars(getattr(stored, "stored", stored)).values() if stored is not None else ():
        while isinstance(array, np.ndarray):
            array = array.base
        if isinstance(array, mmap.mmap):
            yield array


def _weights(layer: nn.Module) -> int:
    size: int = layer.weight.size
    return size * 32 // layer.bits if isinstance(layer, QUANTIZED) else size


def _layer(old: nn.Module, stored: "Stored") -> nn.Module:
    if isinstance(old, nn.Conv1d):
        return MappedConv1d(stored, old)
    return MappedLinear(stored, old) if isinstance(old, Linear | QuantizedLinear) else MappedEmbedding(stored)


def _unpacked(path: str, layer: nn.Module, tensors: Mapping[str, mx.array]) -> "Stored | None":
    weight = tensors[f"{path}.weight"]
    if isinstance(layer, QUANTIZED):
        scales, biases = tensors[f"{path}.scales"], tensors.get(f"{path}.biases")
        if biases is not None:  # otherwise the product would be rounded to their type
            scales, biases = scales.astype(mx.float32), biases.astype(mx.float32)
        settings = {"group_size": layer.group_size, "bits": layer.bits, "mode": layer.mode}
        weight = mx.dequantize(weight, scales, biases, **settings)
    return FloatMatrix(np.array(weight.astype(mx.float32)).reshape(len(weight), -1))


def _mapped(
    path: str, layer: nn.Module, tensors: Mapping[str, mx.array], stored: Mapping[str, Any]
) -> "Stored | None":
    from . import packed

    def dtype(leaf: str) -> str:
        return str(tensors[f"{path}.{leaf}"].dtype).removeprefix("mlx.core.")

    if isinstance(layer, DENSE):
        weight = stored[f"{path}.weight"]  # of a convolution [out, kernel, in]
        return packed.dense(weight.reshape(len(weight), -1), dtype("weight"))
    if "biases" in layer and dtype("biases") != dtype("scales"):
        return None
    parts = {leaf: stored[f"{path}.{leaf}"] for leaf in ("weight", "scales", "biases") if leaf in layer}
    return packed.quantized(parts, dtype("scales"), layer.bits, layer.mode)
