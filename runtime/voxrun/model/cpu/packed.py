"""A matrix in a mapped file, quantized or not, and its products on a CPU.

Importing this module imports numba, which is slow.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from voxrun.arrays import Array, FloatArray
from voxrun.parallel import in_parts

from . import stored
from .dense import FloatMatrix
from .kernels import DIRECT_ROWS, FEW_ROWS, TILE_ROWS, Kernels, kernels
from .stored import Stored
from .vectors import LANES

HALVES = {"bfloat16": stored.BFLOAT16, "float16": stored.FLOAT16}
FLOAT_MODES = {"mxfp4": ("e8m0", 4), "mxfp8": ("e8m0", 8), "nvfp4": ("e4m3", 4)}
"""Quantization mode -> the type of its scales, and the bits of its codes, which are small floats."""
UNROLLED = 64
"""Columns that a step of a loop takes where no scale ends them."""
SPANS = 4
"""Parts of a product that each core takes, one after the other."""
UNPACKING = 4
"""Unpacking the weights takes as long as a product with this many rows of activations."""


@dataclass(frozen=True)
class Matrix:
    """`packed` uint8 [rows, bytes], `scales` and `biases` [rows, groups], all as stored."""

    columns: int
    how: Stored
    packed: Array
    scales: Array
    biases: Array
    table: FloatArray
    """The value of every bit pattern of a scale."""

    @property
    def rows(self) -> int:
        """Outputs."""
        return len(self.packed)

    def product(self, x: FloatArray) -> FloatArray:
        """X [n, columns] -> [n, rows]."""
        return products([self], x)[0]

    def multiply(self, first: int, last: int, x: FloatArray, out: FloatArray) -> None:
        """The tiles `first` to `last` of a product, the rest of the rows behind the last one."""
        end = self.rows if last == self.rows // TILE_ROWS else last * TILE_ROWS
        self._kernels.product(*self._stored, first * TILE_ROWS, end, x, out)

    def unpacked(self, first: int, last: int) -> FloatArray:
        """The weights of some rows [last - first, columns]."""
        out = np.empty((last - first, self.columns), np.float32)
        self._kernels.unpack(*self._stored, first, out)
        return out

    def take(self, rows: Array) -> FloatArray:
        """Rows [n] -> their weights [n, columns]. Raises IndexError: a kernel would read beyond the file."""
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.rows:
            raise IndexError(f"rows {rows.min()} to {rows.max()} of a matrix with {self.rows}")
        out = np.empty((len(rows), self.columns), np.float32)
        for i, row in enumerate(rows):
            self._kernels.unpack(*self._stored, int(row), out[i : i + 1])
        return out

    @cached_property
    def _kernels(self) -> Kernels:
        return kernels(self.how)

    @cached_property
    def _stored(self) -> tuple[Any, ...]:
        return self.packed, self.scales, self.biases, self.table


def products(matrices: Sequence[Matrix], x: FloatArray) -> list[FloatArray]:
    """X [n, columns] -> [n, rows] of each matrix; the cores are told to begin once for all of them."""
    n, columns = x.shape
    if n > DIRECT_ROWS and n % FEW_ROWS:
        x = np.concatenate([x, np.zeros((-n % FEW_ROWS, columns), np.float32)])
    x = np.ascontiguousarray(x)
    outs = [np.empty((len(x), matrix.rows), np.float32) for matrix in matrices]
    tiles = [matrix.rows // TILE_ROWS for matrix in matrices]

    def part(first: int, last: int) -> None:
        for matrix, out, count in zip(matrices, outs, tiles, strict=True):
            if first < count and last > 0:
                matrix.multiply(max(first, 0), min(last, count), x, out)
            first, last = first - count, last - count

    work = sum(matrix.rows for matrix in matrices) * columns * (n + UNPACKING)
    in_parts(part, sum(tiles), work, spans=SPANS)
    return [out[:n] for out in outs]


def dense(weight: Array, dtype: str) -> Matrix | FloatMatrix | None:
    """A matrix [rows, columns] of floats, 16-bit ones given as uint16; None for other types."""
    if dtype == "float32":
        return FloatMatrix(weight)
    if dtype not in HALVES:
        return None
    if weight.shape[1] % LANES:
        return FloatMatrix(decoder(dtype)[weight])
    none, bits = np.zeros((len(weight), 1), np.uint16), np.ascontiguousarray(weight).view(np.uint8)
    how = Stored(HALVES[dtype], 16, math.gcd(weight.shape[1], UNROLLED))
    return _of_tiles(Matrix(weight.shape[1], how, bits, none, none, decoder("e8m0")))


def quantized(parts: Mapping[str, Array], dtype: str, bits: int, mode: str) -> Matrix | FloatMatrix | None:
    """A matrix packed in uint32 as MLX does, or None for what has no kernel.

    `parts` are weight, scales and biases as stored; `dtype` is the type of scales and biases both.
    """
    weight, scales = (np.ascontiguousarray(parts[leaf]) for leaf in ("weight", "scales"))
    columns = weight.shape[1] * 32 // bits
    group = columns // scales.shape[1]
    if mode in FLOAT_MODES:
        of_scales, of_codes = FLOAT_MODES[mode]
        how, biases, table = Stored(stored.SMALL_FLOATS, of_codes, group, 0), scales, decoder(of_scales)
    elif mode == "affine" and dtype in HALVES:
        how = Stored(stored.CODES, bits, group, int(dtype == "bfloat16"))
        biases, table = np.ascontiguousarray(parts["biases"]), decoder(dtype)
    else:
        return None
    return _of_tiles(Matrix(columns, how, weight.view(np.uint8), scales, biases, table))


def _of_tiles(matrix: Matrix) -> Matrix | FloatMatrix:
    """The matrix; one that has too few rows for a tile of the kernels, unpacked."""
    return matrix if matrix.rows >= TILE_ROWS else FloatMatrix(matrix.unpacked(0, matrix.rows))


@cache
def decoder(name: str) -> FloatArray:
    """The value of every bit pattern of a type."""
    return _DECODERS[name]()


def _exponents() -> FloatArray:
    """E8M0 of the OCP MX formats; the last code is NaN."""
    return np.append(np.ldexp(np.float32(1), np.arange(255) - 127), np.nan).astype(np.float32)


def _e4m3() -> FloatArray:
    """A sign, four bits of exponent, subnormals, no infinities; two codes are NaN."""
    codes = np.arange(256)
    mantissa, exponent = codes % 8, codes >> 3 & 15
    value = (mantissa / 8 + (exponent > 0)) * 2.0 ** (np.maximum(exponent, 1) - 7)
    value[[0x7F, 0xFF]] = np.nan
    return np.where(codes >> 7, -value, value).astype(np.float32)


_DECODERS: dict[str, Callable[[], FloatArray]] = {
    "bfloat16": lambda: (np.arange(2**16, dtype=np.uint32) << 16).view(np.float32),
    "float16": lambda: np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32),
    "e8m0": _exponents,
    "e4m3": _e4m3,
}
