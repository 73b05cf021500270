"""Products of 16-bit floats that round as they did before `voxrun.model.cpu.kernels` used vectors.

What was made from activations, such as searched weights, keeps its bytes. Strides are literals and indices
unsigned: loops with an unknown stride, or an index that may be negative, are not vectorized.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numba import uint64

from voxrun.arrays import Array, FloatArray
from voxrun.parallel import in_parts

from . import kernels
from .dense import FloatMatrix
from .packed import HALVES, Matrix
from .stored import BFLOAT16

FEW_ROWS = 40
"""Up to this many rows of activations, the weights are read in one pass; of more, unpacked for a BLAS."""
UNPACKING = 4
"""Unpacking the weights takes as long as a product with this many rows of activations."""
TILE_BYTES = 2 * 2**20
"""Size of the tiles in which weights are unpacked."""
compiled = partial(kernels.compiled, fastmath={"reassoc", "contract", "nsz"})  # sums in any order
ONE, TWO, THREE, FOUR = (uint64(n) for n in range(1, 5))


@compiled
def unpack(packed, bfloat16, row, out):  # type: ignore
    """One row of 16-bit floats, low byte first, as float32 [columns]."""
    numbers, columns = out.view(np.uint32), uint64(out.shape[0])
    if bfloat16:
        for j in range(columns):
            low, high = np.uint32(packed[row, TWO * j]), np.uint32(packed[row, TWO * j + ONE])
            numbers[j] = low << np.uint32(16) | high << np.uint32(24)
    else:
        for j in range(columns):
            half = np.uint32(packed[row, TWO * j]) | np.uint32(packed[row, TWO * j + ONE]) << np.uint32(8)
            sign = (half & np.uint32(0x8000)) << np.uint32(16)
            numbers[j] = sign | (half & np.uint32(0x7FFF)) << np.uint32(13)
        for j in range(columns):
            out[j] = out[j] * np.float32(2.0**112)  # float16's exponents begin 112 above float32's


@compiled
def dots(weights, x, out, row):  # type: ignore
    """Weights [columns] times each of x [n, columns], four at a time, into out [n, rows] at `row`."""
    n, columns = uint64(x.shape[0]), uint64(x.shape[1])
    i = uint64(0)
    while i + FOUR <= n:
        a = b = c = d = np.float32(0)
        for j in range(columns):
            w = weights[j]
            a += w * x[i, j]
            b += w * x[i + ONE, j]
            c += w * x[i + TWO, j]
            d += w * x[i + THREE, j]
        out[i, row], out[i + ONE, row], out[i + TWO, row], out[i + THREE, row] = a, b, c, d
        i += FOUR
    while i < n:
        a = np.float32(0)
        for j in range(columns):
            a += weights[j] * x[i, j]
        out[i, row] = a
        i += ONE


@compiled
def product(packed, bfloat16, first, last, x, out):  # type: ignore
    """X [n, columns] times the rows `first` to `last`, into those columns of out [n, rows]."""
    weights = np.empty(x.shape[1], np.float32)
    for row in range(uint64(first), uint64(last)):
        unpack(packed, bfloat16, row, weights)
        dots(weights, x, out, row)


def as_before(stored: Any) -> Any:
    """The matrix with its roundings of that time; one of codes has them still."""
    if isinstance(stored, FloatMatrix):
        return replace(stored, left_rows=0)
    return EarlierHalves(stored) if stored.how.kind in HALVES.values() else stored


@dataclass(frozen=True)
class EarlierHalves:
    """A matrix of 16-bit floats."""

    stored: Matrix

    @property
    def rows(self) -> int:
        """Outputs."""
        return self.stored.rows

    def product(self, x: FloatArray) -> FloatArray:
        """X [n, columns] -> [n, rows]."""
        x, out = np.ascontiguousarray(x), np.empty((len(x), self.rows), np.float32)
        bfloat16, few = self.stored.how.kind == BFLOAT16, len(x) <= FEW_ROWS
        step = max(1, TILE_BYTES // (4 * self.stored.columns))

        def in_one_pass(first: int, last: int) -> None:
            product(self.stored.packed, bfloat16, first, last, x, out)

        def in_tiles(first: int, last: int) -> None:
            for start in range(first, last, step):
                end = min(start + step, last)
                np.matmul(x, self.stored.unpacked(start, end).T, out=out[:, start:end])

        work = self.rows * self.stored.columns * (len(x) + UNPACKING)
        in_parts(in_one_pass if few else in_tiles, self.rows, work, blas=not few)
        return out

    def take(self, rows: Array) -> FloatArray:
        """Rows [n] -> their weights [n, columns]. Raises IndexError."""
        return self.stored.take(rows)
