"""Casting and quantizing rows of a matrix, always on the CPU: GPUs round differently."""

from collections.abc import Mapping

import numpy as np

from voxrun.device import mx

from .modes import Quantization

_STORED = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32, "U32": np.uint32, "U8": np.uint8}
_MX = {"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}


def to_mlx(data: bytes, dtype: str, shape: tuple[int, ...]) -> mx.array:
    """Bytes of a safetensors file as an array."""
    array = mx.array(np.frombuffer(data, _STORED[dtype]).reshape(shape))
    return array.view(mx.bfloat16) if dtype == "BF16" else array


def to_bytes(array: mx.array) -> bytes:
    """An array as it stands in a safetensors file."""
    if array.dtype == mx.bfloat16:
        array = array.view(mx.uint16)
    return np.array(array).tobytes()


def cast(array: mx.array, dtype: str) -> mx.array:
    """To a floating dtype, rounding to nearest even."""
    with mx.stream(mx.cpu):
        return array.astype(_MX[dtype])


def is_finite(array: mx.array) -> bool:
    """Whether there is neither NaN nor infinity."""
    with mx.stream(mx.cpu):
        return bool(mx.isfinite(array).all().item())


def transposed(array: mx.array) -> mx.array:
    """The axes 1 and 2 swapped, contiguous."""
    with mx.stream(mx.cpu):
        return mx.contiguous(array.swapaxes(1, 2))


def quantize_rows(rows: mx.array, how: Quantization) -> Mapping[str, mx.array]:
    """Rows [n, columns] -> leaf -> packed weights, scales and, if the mode has them, biases.

    Groups lie within a row, so any cut into rows gives the bytes of the whole matrix.
    """
    with mx.stream(mx.cpu):
        parts = mx.quantize(rows, group_size=how.group_size, bits=how.bits, mode=how.mode)
        mx.eval(parts)
    return dict(zip(("weight", "scales", "biases"), parts, strict=False))
