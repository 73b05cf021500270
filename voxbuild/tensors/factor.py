"""The factors V and D of a symmetric matrix H = V D V^T, V unit upper triangular, in compiled loops.

The squared error of a row of differences e is e H e^T, the sum over columns j of
D_j (e_j + sum over k < j of e_k V_kj)^2. So a column is best rounded after adding what the columns before it
lost, weighted by V (GPTQ, arXiv 2210.17323, in the form of QuIP, arXiv 2307.13304, which needs no inverse).

All loops add in a fixed order in IEEE arithmetic: the same H gives the same factors on any machine with any
number of threads.
"""

from typing import Any

import numpy as np
from numba import uint64

from voxrun.parallel import in_parts

from .kernels import compiled

Matrix = np.typing.NDArray[Any]
PANEL = 64
"""Columns of H that are factored together."""
LANES = 32
"""Columns of a panel that a loop computes side by side."""
LANE, FOUR, NONE = uint64(LANES), uint64(4), uint64(0)


class NotPositiveError(ValueError):
    """A matrix that is not positive definite, or not finite, has no factors."""


def factor(matrix: Matrix) -> tuple[Matrix, Matrix]:
    """Symmetric float64 [n, n] -> V float64 [n, n], unit upper triangular, and D float64 [n].

    Raises NotPositiveError.
    """
    n = len(matrix)
    # Backwards V is lower triangular, so H's usual factors L D L^T can be computed from the first column on.
    # Row k of `lower` holds column k of L, D_k in the diagonal's place.
    padded = -(-n // PANEL) * PANEL
    lower = np.zeros((padded, padded))
    lower[:n, :n] = matrix[::-1, ::-1]
    lower[range(n, padded), range(n, padded)] = 1
    for start in range(0, padded, PANEL):
        _factor_panel(lower, start)
    pivots = lower.diagonal()[:n][::-1].copy()
    if not (np.isfinite(pivots).all() and (pivots > 0).all()):
        raise NotPositiveError("not positive definite")
    factors = np.triu(lower[:n, :n], 1)[::-1, ::-1].T.copy()
    factors[range(n), range(n)] = 1
    return factors, pivots


def _factor_panel(lower: Matrix, start: int) -> None:
    """Compute the rows `start` to `start + PANEL` of `lower`, from those before it."""
    blocks = (len(lower) - start) // PANEL

    def update(first: int, last: int) -> None:
        subtract(lower, uint64(start), uint64(start + first * PANEL), uint64(start + last * PANEL))

    def solve(first: int, last: int) -> None:
        solve_below(lower, uint64(start), uint64(start + first * PANEL), uint64(start + last * PANEL))

    in_parts(update, blocks, start * PANEL * (len(lower) - start))
    factor_block(lower, uint64(start))
    if blocks > 1:
        in_parts(lambda a, b: solve(a + 1, b + 1), blocks - 1, PANEL * PANEL * (len(lower) - start))


@compiled
def subtract(lower, start, first, last):  # type: ignore
    """From the panel's rows, in the columns `first` to `last`, take what the rows before it account for."""
    weights = np.empty((start, uint64(PANEL)), np.float64)
    for k in range(start):
        for j in range(uint64(PANEL)):
            weights[k, j] = lower[k, start + j] * lower[k, k]
    sums, tile = np.empty(uint64(PANEL) * LANE, np.float64), np.empty(uint64(PANEL) * LANE, np.float64)
    for at in range(first, last, LANE):
        for j in range(uint64(PANEL)):
            for i in range(LANE):
                sums[j * LANE + i] = lower[start + j, at + i]
        for k in range(NONE, start, uint64(PANEL)):
            for row in range(uint64(PANEL)):
                for i in range(LANE):
                    tile[row * LANE + i] = lower[k + row, at + i]
            subtract_products(sums, weights[k : k + uint64(PANEL)], tile)
        for j in range(uint64(PANEL)):
            for i in range(LANE):
                lower[start + j, at + i] = sums[j * LANE + i]


@compiled
def subtract_products(sums, weights, tile):  # type: ignore
    """sums[j, lane] -= weights[k, j] * tile[k, lane], k by k."""
    for j in range(uint64(weights.shape[1])):
        for k in range(NONE, uint64(weights.shape[0]), FOUR):
            a, b = weights[k, j], weights[k + uint64(1), j]
            c, d = weights[k + uint64(2), j], weights[k + uint64(3), j]
            row = k * LANE
            for i in range(LANE):
                x = sums[j * LANE + i] - a * tile[row + i]
                x -= b * tile[row + LANE + i]
                x -= c * tile[row + uint64(2 * LANES) + i]
                sums[j * LANE + i] = x - d * tile[row + uint64(3 * LANES) + i]


@compiled
def factor_block(lower, start):  # type: ignore
    """Factor the panel's own block on the diagonal."""
    for j in range(uint64(PANEL)):
        row = start + j
        for k in range(start, row):
            weight = lower[k, row] * lower[k, k]
            for i in range(row, start + uint64(PANEL)):
                lower[row, i] -= weight * lower[k, i]
        for i in range(row + uint64(1), start + uint64(PANEL)):
            lower[row, i] /= lower[row, row]


@compiled
def solve_below(lower, start, first, last):  # type: ignore
    """The panel's rows in the columns `first` to `last`, which are behind its own block."""
    for j in range(uint64(PANEL)):
        row = start + j
        for k in range(start, row):
            weight = lower[k, row] * lower[k, k]
            for i in range(first, last):
                lower[row, i] -= weight * lower[k, i]
        for i in range(first, last):
            lower[row, i] /= lower[row, row]
