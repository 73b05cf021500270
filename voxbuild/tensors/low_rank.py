"""The compiled loop that adds scale * B A to rows of a matrix: bit for bit as PEFT merges in float32.

PEFT computes (B @ A) * scale + W in float32. For each element the product sums over the rank, from the first
to the last, with fused multiply-adds (rounded once), as sgemm does. No library computes it here: one may sum
in another order on another machine, and the bytes would differ.
"""

from typing import Any

import numpy as np
from numba import types, uint64
from numba.extending import intrinsic

from .kernels import compiled

AT_ONCE = 4
"""Steps over the rank in one pass over a row, which is then loaded and stored less often."""


@intrinsic
def fused(context: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c in float32, rounded once: an instruction, or libm's fmaf if the processor has none."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), generate


@compiled
def add_low_rank(rows, b, a, scale, out):  # type: ignore
    """out = rows + scale * (b @ a): rows and out [n, columns], b [n, rank], a [rank, columns], float32."""
    rank, columns = uint64(a.shape[0]), uint64(a.shape[1])
    whole = rank - rank % uint64(AT_ONCE)
    total = np.empty(columns, np.float32)
    for i in range(uint64(rows.shape[0])):
        total[:] = np.float32(0)
        for k in range(uint64(0), whole, uint64(AT_ONCE)):
            b0, b1, b2, b3 = b[i, k], b[i, k + uint64(1)], b[i, k + uint64(2)], b[i, k + uint64(3)]
            a0, a1, a2, a3 = a[k], a[k + uint64(1)], a[k + uint64(2)], a[k + uint64(3)]
            for j in range(columns):
                two = fused(b1, a1[j], fused(b0, a0[j], total[j]))
                total[j] = fused(b3, a3[j], fused(b2, a2[j], two))
        for k in range(whole, rank):
            factor, line = b[i, k], a[k]
            for j in range(columns):
                total[j] = fused(factor, line[j], total[j])
        for j in range(columns):
            out[i, j] = rows[i, j] + total[j] * scale
