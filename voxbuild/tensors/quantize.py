"""Casting and quantizing rows of a matrix on the CPU, as NumPy arrays in storage form.

Storage form is uint16 for bfloat16, which NumPy lacks, else float16 or float32. The compiled loops of
`kernels` and `small_floats` give the bytes of `mx.quantize` on its CPU device; GPUs round differently.
"""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import kernels
from .modes import MODES, Quantization
from .small_floats import small_floats

QUANTIZER_VARIABLE = "VOXBUILD_QUANTIZER"
"""Environment variable: `mlx` selects MLX's quantizer, the reference for ours."""

Rows = np.typing.NDArray[Any]

_STORED: dict[str, Any] = {
    "BF16": np.uint16,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "U32": np.uint32,
    "U8": np.uint8,
}
_BITS: dict[str, Any] = {"BF16": np.uint16, "F16": np.uint16, "F32": np.uint32}
_SIGNED: dict[str, Any] = {"BF16": np.int16, "F16": np.int16, "F32": np.int32}
_INFINITY = {"BF16": 0x7F80, "F16": 0x7C00, "F32": 0x7F800000}
KINDS = {"BF16": kernels.BFLOAT16, "F16": kernels.FLOAT16, "F32": kernels.FLOAT32}
"""safetensors dtype -> the `kind` of the kernels."""


def to_rows(data: bytes | bytearray | memoryview, dtype: str, shape: tuple[int, ...]) -> Rows:
    """Bytes of a safetensors file as an array that shares their memory."""
    return np.frombuffer(data, _STORED[dtype]).reshape(shape)


def cast(rows: Rows, dtype: str, to: str) -> Rows:
    """Rows in another floating dtype, rounded to nearest even; values that are too large become infinite."""
    if dtype == to:
        return rows
    if dtype == "F64":
        rows, dtype = _to_single(rows, exact=to != "F32"), "F32"
        return cast(rows, dtype, to)
    out = np.empty(rows.shape, _STORED[to])
    kernels.cast(bits_of(rows, dtype).reshape(-1), KINDS[dtype], KINDS[to], out.view(_BITS[to]).reshape(-1))
    return out


def _to_single(rows: Rows, exact: bool) -> Rows:
    """Float64 as float32: rounded to nearest even or, to be rounded `exact`ly once more, to odd.

    Rounding to odd keeps, in the last bit, whether the value was between two float32; so rounding again gives
    what rounding once would (Boldo and Melquiond, "When double rounding is odd", 2005).
    """
    with np.errstate(over="ignore"):
        single = rows.astype(np.float32)
    if exact:
        away = np.isfinite(single) & (np.abs(single) > np.abs(rows))
        single = np.where(away, np.nextafter(single, np.float32(0)), single)
        between = np.isfinite(single) & (single != rows)
        single = (single.view(np.uint32) | between).view(np.float32)
    return single


def is_finite(rows: Rows, dtype: str) -> bool:
    """Whether all values are finite."""
    return bool(kernels.greatest_magnitude(bits_of(rows, dtype).reshape(-1)) < _INFINITY[dtype])


@dataclass(frozen=True)
class Ranges:
    """The least and the greatest value of each group of a matrix's rows [n, groups], in storage form."""

    low: Rows
    high: Rows

    @classmethod
    def of(cls, rows: Rows, dtype: str, group_size: int) -> "Ranges":
        """Those of rows [n, columns]; what is not finite counts as beyond all that is."""
        bits = bits_of(rows, dtype)
        low, high = np.empty((2, len(rows), rows.shape[1] // group_size), bits.dtype)
        signed = _SIGNED[dtype]
        kernels.extremes(bits.view(signed), group_size, low.view(signed), high.view(signed))
        return cls(low.view(rows.dtype), high.view(rows.dtype))

    def are_finite(self, dtype: str) -> bool:
        """Whether all values of all groups are finite."""
        return is_finite(self.low, dtype) and is_finite(self.high, dtype)

    def magnitudes(self, dtype: str) -> Rows:
        """The greatest magnitude of each group, float32 [n, groups]."""
        low, high = (np.abs(cast(end, dtype, "F32")) for end in (self.low, self.high))
        most: Rows = np.maximum(low, high)
        return most


def transposed(rows: Rows) -> Rows:
    """The axes 1 and 2 swapped, contiguous."""
    return np.ascontiguousarray(rows.swapaxes(1, 2))


def quantize_rows(rows: Rows, dtype: str, how: Quantization, ranges: Ranges | None = None) -> dict[str, Rows]:
    """Rows [n, columns], all finite -> leaf -> packed weights, scales and, if the mode has them, biases.

    `ranges` are those of their groups, if they are known.

    `weight` is uint32 [n, columns * bits / 32]; the others [n, columns / group_size] have the rows' dtype, or
    uint8 if the mode says so. A group lies within a row, so the bytes do not depend on how rows are chunked.

    As in MLX, a group with a range beyond the greatest float32 gets an infinite scale (affine),
    a group with a greatest magnitude above zero, but below 6 * 2 ** -127 (mxfp4) or 448 * 2 ** -127 (mxfp8),
    gets a scale that wraps around to a huge one. `check.check_quantized` refuses such groups.
    """
    if os.environ.get(QUANTIZER_VARIABLE) == "mlx":
        return _quantized_by_mlx(rows, dtype, how)
    n, columns = rows.shape
    weight = np.empty((n, columns * how.bits // 32), np.uint32)
    return {"weight": weight, **KERNELS[MODES[how.mode].kernel](rows, dtype, how, weight, ranges)}


def _affine(
    rows: Rows, dtype: str, how: Quantization, weight: Rows, ranges: Ranges | None
) -> dict[str, Rows]:
    known = ranges or Ranges.of(rows, dtype, how.group_size)
    ends = bits_of(known.low, dtype), bits_of(known.high, dtype)
    scales, biases = np.empty((2, len(rows), rows.shape[1] // how.group_size), _BITS[dtype])
    kernels.affine(bits_of(rows, dtype), KINDS[dtype], how.bits, *ends, weight, scales, biases)
    return {"scales": scales.view(_STORED[dtype]), "biases": biases.view(_STORED[dtype])}


def _small_floats(
    rows: Rows, dtype: str, how: Quantization, weight: Rows, ranges: Ranges | None
) -> dict[str, Rows]:
    assert (how.bits, how.group_size) in SMALL_FLOATS, f"no kernel computes {how.in_words}"
    scales = np.empty((len(rows), rows.shape[1] // how.group_size), np.uint8)
    small_floats(bits_of(rows, dtype), KINDS[dtype], how.bits, how.group_size, weight, scales)
    return {"scales": scales}


SMALL_FLOATS = {(4, 32), (8, 32), (4, 16)}
"""(bits, group size) of the formats that the kernel knows: mxfp4, mxfp8, nvfp4."""
KERNELS = {"affine": _affine, "small_floats": _small_floats}
"""Each fills `weight` and returns the other leaves."""


def bits_of(rows: Rows, dtype: str) -> Rows:
    """The same memory as unsigned integers; always read-only, so that Numba compiles for only one type."""
    bits: Rows = np.ascontiguousarray(rows).view(_BITS[dtype])
    bits.flags.writeable = False
    return bits


def _quantized_by_mlx(rows: Rows, dtype: str, how: Quantization) -> dict[str, Rows]:
    from voxrun.device import mx  # a conversion with our kernels does not load MLX

    with mx.stream(mx.cpu):
        array = mx.array(rows).view(mx.bfloat16) if dtype == "BF16" else mx.array(rows)
        parts = mx.quantize(array, group_size=how.group_size, bits=how.bits, mode=how.mode)
        stored = [part.view(mx.uint16) if part.dtype == mx.bfloat16 else part for part in parts]
        mx.eval(stored)
    return {leaf: np.array(part) for leaf, part in zip(("weight", "scales", "biases"), stored, strict=False)}
