"""A matrix in a mapped file, quantized or not, and its products on a CPU.

Importing this module imports numba, which is slow.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np

from voxrun.arrays import Array, FloatArray
from voxrun.parallel import in_parts

from . import kernels
from .dense import LEFT_ROWS, FloatMatrix

FEW_ROWS = 8
"""Up to this many rows of activations, one pass over the packed weights beats unpacking them for a BLAS."""
FEW_ROWS_BEFORE = 40
"""The same before there were LEFT_ROWS."""
UNPACKING = 4
"""Unpacking the weights takes as long as a product with this many rows of activations."""
TILE_BYTES = 2 * 2**20
"""Size of the tiles in which weights are unpacked."""

HALVES = {"bfloat16": kernels.BFLOAT16, "float16": kernels.FLOAT16}
FLOAT_MODES = {"mxfp4": ("e8m0", "e2m1"), "mxfp8": ("e8m0", "e4m3"), "nvfp4": ("e4m3", "e2m1")}
"""Quantization mode -> the types of its scales and of its codes."""


@dataclass(frozen=True)
class Matrix:
    """`packed` uint8 [rows, bytes], `scales` and `biases` [rows, groups], all as stored."""

    columns: int
    kind: int
    bits: int
    packed: Array
    scales: Array
    biases: Array
    decode: FloatArray
    """The value of every bit pattern of a scale."""
    table: FloatArray
    """The value of every code, where codes are floats."""
    few_rows: int = FEW_ROWS
    left_rows: int = LEFT_ROWS

    @property
    def rows(self) -> int:
        """Outputs."""
        return len(self.packed)

    def product(self, x: FloatArray) -> FloatArray:
        """X [n, columns] -> [n, rows]."""
        x = np.ascontiguousarray(self._by_planes(x))
        return self._in_one_pass(x) if len(x) <= self.few_rows else self._in_tiles(x)

    def as_before(self) -> "Matrix":
        """The same, rounding as before there were LEFT_ROWS."""
        return replace(self, few_rows=FEW_ROWS_BEFORE, left_rows=0)

    def unpacked(self, first: int, last: int) -> FloatArray:
        """The weights of some rows [last - first, columns]."""
        out = np.empty((last - first, self.columns), np.float32)
        kernels.unpack_rows(*self._stored, first, out)
        return self._by_columns(out)

    def take(self, rows: Array) -> FloatArray:
        """Rows [n] -> their weights [n, columns]. Raises IndexError: a kernel would read beyond the file."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.rows:
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a matrix with {self.rows}")
        out = np.empty((len(rows), self.columns), np.float32)
        for i, row in enumerate(rows):
            kernels.unpack_rows(*self._stored, int(row), out[i : i + 1])
        return self._by_columns(out)

    def _in_one_pass(self, x: FloatArray) -> FloatArray:
        out = np.empty((len(x), self.rows), np.float32)

        def part(first: int, last: int) -> None:
            kernels.product(*self._stored, first, last, x, out)

        in_parts(part, self.rows, self._work(len(x)))
        return out

    def _in_tiles(self, x: FloatArray) -> FloatArray:
        left = len(x) <= self.left_rows
        out = np.empty((self.rows, len(x)) if left else (len(x), self.rows), np.float32)
        step = max(1, TILE_BYTES // (4 * self.columns))

        def part(first: int, last: int) -> None:
            for start in range(first, last, step):
                end = min(start + step, last)
                tile = np.empty((end - start, self.columns), np.float32)
                kernels.unpack_rows(*self._stored, start, tile)
                if left:
                    np.matmul(tile, x.T, out=out[start:end])
                else:
                    np.matmul(x, tile.T, out=out[:, start:end])

        in_parts(part, self.rows, self._work(len(x)), blas=True)
        return np.ascontiguousarray(out.T) if left else out

    def _work(self, n: int) -> int:
        """Multiplications of a product with n rows, unpacking included."""
        return self.rows * self.columns * (n + UNPACKING)

    @cached_property
    def _stored(self) -> tuple[Any, ...]:
        return self.packed, self.scales, self.biases, self.decode, self.table, self.kind, self.bits

    @cached_property
    def _planes(self) -> tuple[int, int]:
        """Groups of a row, and values of a pack."""
        if self.kind in HALVES.values():
            return 1, 1
        return self.scales.shape[1], 8 // math.gcd(self.bits, 8)

    def _by_planes(self, x: FloatArray) -> FloatArray:
        """Columns in the order in which the kernels unpack them."""
        groups, planes = self._planes
        return x.reshape(len(x), groups, -1, planes).swapaxes(2, 3).reshape(x.shape)

    def _by_columns(self, x: FloatArray) -> FloatArray:
        groups, planes = self._planes
        return x.reshape(len(x), groups, planes, -1).swapaxes(2, 3).reshape(x.shape)


def dense(weight: Array, dtype: str) -> Matrix | FloatMatrix | None:
    """A matrix [rows, columns] of floats, 16-bit ones given as uint16; None for other types."""
    if dtype == "float32":
        return FloatMatrix(weight)
    if dtype not in HALVES:
        return None
    none = np.zeros((len(weight), 1), np.uint16)
    packed = np.ascontiguousarray(weight).view(np.uint8)
    return Matrix(weight.shape[1], HALVES[dtype], 16, packed, none, none, decoder(dtype), decoder("e2m1"))


def quantized(parts: Mapping[str, Array], dtype: str, bits: int, mode: str) -> Matrix | None:
    """A matrix packed in uint32 as MLX does, or None for what has no kernel.

    `parts` are weight, scales and biases as stored; `dtype` is the type of scales and biases both.
    """
    weight, scales = (np.ascontiguousarray(parts[leaf]) for leaf in ("weight", "scales"))
    columns = weight.shape[1] * 32 // bits
    if mode in FLOAT_MODES:
        of_scales, of_codes = FLOAT_MODES[mode]
        decode, table, kind, biases = decoder(of_scales), decoder(of_codes), kernels.FLOATS, scales
    elif mode == "affine" and dtype in HALVES:
        decode, table, kind = decoder(dtype), decoder("e2m1"), kernels.INTEGERS
        biases = np.ascontiguousarray(parts["biases"])
    else:
        return None
    return Matrix(columns, kind, bits, weight.view(np.uint8), scales, biases, decode, table)


@cache
def decoder(name: str) -> FloatArray:
    """The value of every bit pattern of a type."""
    return _DECODERS[name]()


def _exponents() -> FloatArray:
    """E8M0 of the OCP MX formats; the last code is NaN."""
    return np.append(np.ldexp(np.float32(1), np.arange(255) - 127), np.nan).astype(np.float32)


def _small_floats(exponent_bits: int, mantissa_bits: int) -> FloatArray:
    """E4M3 and E2M1: a sign, subnormals, no infinities."""
    codes = np.arange(2 ** (1 + exponent_bits + mantissa_bits))
    mantissa, exponent = codes % 2**mantissa_bits, codes >> mantissa_bits & (2**exponent_bits - 1)
    fraction = mantissa * 2.0**-mantissa_bits + (exponent > 0)
    value = fraction * 2.0 ** (np.maximum(exponent, 1) + 1 - 2 ** (exponent_bits - 1))
    return np.where(codes >> (exponent_bits + mantissa_bits), -value, value).astype(np.float32)


def _e4m3() -> FloatArray:
    value = _small_floats(4, 3)
    value[[0x7F, 0xFF]] = np.nan
    return value


_DECODERS: dict[str, Callable[[], FloatArray]] = {
    "bfloat16": lambda: (np.arange(2**16, dtype=np.uint32) << 16).view(np.float32),
    "float16": lambda: np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32),
    "e8m0": _exponents,
    "e4m3": _e4m3,
    "e2m1": lambda: _small_floats(2, 1),
}
