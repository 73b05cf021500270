"""The arithmetic of LoRA: scale * B A added to rows of a matrix, bit for bit as PEFT merges in float32.

PEFT computes W + (B @ A) * scale, all in float32. For each element the product is summed over the rank, from
the first to the last, with fused multiply-adds (rounded once). So does torch's sgemm up to rank 192; beyond,
it sums in blocks, and 2 to 5 of 10,000 weights differ in the last bit of bfloat16. No library computes it
here: one may sum in another order on another machine, and the bytes would differ.
"""

from typing import Any

import numpy as np
from numba import types, uint64
from numba.extending import intrinsic

from voxrun.arrays import Array

from .adapter import Update
from .kernels import compiled


def merge(rows: Array, first: int, update: Update) -> Array:
    """Float32 rows [n, columns] of a matrix in our layout -> the merged rows.

    `first` is the number of the first row in the whole matrix. The bytes are the same on every machine and
    however rows are chunked.
    """
    out = np.empty(rows.shape, np.float32)
    b = update.b[first : first + len(rows)]
    assert rows.shape == (len(b), update.a.shape[1]), "these are not rows of the update's matrix"
    assert rows.dtype == np.float32
    add_low_rank(_read_only(rows), _read_only(b), _read_only(update.a), np.float32(update.scale), out)
    return out


def _read_only(values: Array) -> Array:
    """The same values, contiguous and read-only, so that Numba compiles for only one type."""
    view: Array = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


def _fused(context: Any, a: Any, b: Any, c: Any) -> Any:
    """The product of a and b, plus c, in float32: an instruction, or libm's fmaf if a processor has none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


fused: Any = intrinsic(_fused)


@compiled
def add_low_rank(rows, b, a, scale, out):  # type: ignore
    """Fill `out` with rows + scale * (b @ a): rows, out [n, columns], b [n, rank], a [rank, columns]."""
    one, two, three, four = uint64(1), uint64(2), uint64(3), uint64(4)
    rank, columns = uint64(a.shape[0]), uint64(a.shape[1])
    whole = rank - rank % four
    total = np.empty(columns, np.float32)
    for i in range(uint64(rows.shape[0])):
        total[:] = np.float32(0)
        for k in range(uint64(0), whole, four):  # four at once: the row is loaded and stored less often
            b0, b1, b2, b3 = b[i, k], b[i, k + one], b[i, k + two], b[i, k + three]
            a0, a1, a2, a3 = a[k], a[k + one], a[k + two], a[k + three]
            for j in range(columns):
                half = fused(b1, a1[j], fused(b0, a0[j], total[j]))
                total[j] = fused(b3, a3[j], fused(b2, a2[j], half))
        for k in range(whole, rank):
            factor, line = b[i, k], a[k]
            for j in range(columns):
                total[j] = fused(factor, line[j], total[j])
        for j in range(columns):
            out[i, j] = rows[i, j] + total[j] * scale
