"""Linear layers and embeddings, dense or quantized, by MLX's faster product for the number of rows."""

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Any

from voxrun.device import mx, nn, on_cpu

DEQUANTIZED_ROWS = 4
"""Rows from which dequantizing is faster on a CPU, where a quantized product costs the same for each row."""


def quantized_product(x: mx.array, layer: Any) -> mx.array:
    """X [..., columns] times a quantized layer's matrix [rows, columns] -> [..., rows], no bias."""
    packed = layer["weight"], layer["scales"], layer.get("biases")
    settings = {"group_size": layer.group_size, "bits": layer.bits, "mode": layer.mode}
    if on_cpu() and x.size // x.shape[-1] >= DEQUANTIZED_ROWS:
        return x @ mx.dequantize(*packed, **settings).astype(x.dtype).T
    return mx.quantized_matmul(x, *packed, transpose=True, **settings)


class QuantizedLinear(nn.QuantizedLinear):
    """A linear layer with a quantized matrix."""

    def __call__(self, x: mx.array, residual: mx.array | None = None) -> mx.array:
        """X [..., in] -> [..., out], plus `residual`."""
        y, bias = quantized_product(x, self), self.get("bias")
        if residual is None:
            return y if bias is None else y + bias
        return residual + y if bias is None else _sum(residual, y, bias)


@partial(mx.compile, shapeless=True)
def _sum(residual: mx.array, y: mx.array, bias: mx.array) -> mx.array:
    """In one kernel on a GPU."""
    return residual + (y + bias)


def added(residual: Any, layer: Any, x: Any) -> Any:
    """A layer's output for x, plus `residual` if it is not None."""
    if residual is None or isinstance(layer, QuantizedLinear):
        return layer(x) if residual is None else layer(x, residual)
    return residual + layer(x)


class Linear(nn.Linear):
    """A linear layer that `nn.quantize` turns into our QuantizedLinear."""

    def to_quantized(self, group_size: int, bits: int, mode: str, **_: Any) -> QuantizedLinear:
        """The same layer, quantized."""
        return QuantizedLinear.from_linear(self, group_size, bits, mode)


class QuantizedEmbedding(nn.QuantizedEmbedding):
    """An embedding with a quantized matrix, usable as the head too."""

    def as_linear(self, x: mx.array) -> mx.array:
        """X [..., dim] -> [..., vocabulary]."""
        return quantized_product(x, self)


class Embedding(nn.Embedding):
    """An embedding that `nn.quantize` turns into our QuantizedEmbedding."""

    def to_quantized(self, group_size: int, bits: int, mode: str, **_: Any) -> QuantizedEmbedding:
        """The same layer, quantized."""
        return QuantizedEmbedding.from_embedding(self, group_size, bits, mode)


def fuse(module: Any, names: Sequence[str], joint: str) -> None:
    """Put one layer in the place of these, if they are stored alike; its outputs are theirs, in order."""
    layers = [module[name] for name in names if name in module]
    if layers and all(_stored(layer) == _stored(layers[0]) for layer in layers):
        module[joint] = _joined(layers)
        for name in names:
            del module[name]


def _joined(layers: Sequence[Any]) -> Any:
    joint = copy(layers[0])
    for name in ("weight", "scales", "biases"):
        if name in joint:
            joint[name] = mx.concatenate([layer[name] for layer in layers])
    if biases := [layer.bias for layer in layers if "bias" in layer]:
        none = (mx.zeros(len(layer.weight), biases[0].dtype) for layer in layers)
        pairs = zip(layers, none, strict=True)
        joint.bias = mx.concatenate([layer.get("bias", zeros) for layer, zeros in pairs])
    return joint


def _stored(layer: Any) -> tuple[Any, ...]:
    """How a layer is stored: layers that agree can be one."""
    settings = [getattr(layer, name, None) for name in ("group_size", "bits", "mode")]
    types = [layer[name].dtype for name in ("weight", "scales", "biases") if name in layer]
    return type(layer), *settings, *types
