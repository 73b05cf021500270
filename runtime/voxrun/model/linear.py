"""Linear layers and embeddings, dense or quantized, by MLX's faster product for the number of rows."""

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

    def __call__(self, x: mx.array) -> mx.array:
        """X [..., in] -> [..., out]."""
        y = quantized_product(x, self)
        return y + self["bias"] if "bias" in self else y


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
