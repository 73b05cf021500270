"""Sums of products over rows, X^T Y in float64, with the same bits on any number of cores."""

from typing import Any

import numpy as np

from voxrun.device import mx
from voxrun.model.functions import joined
from voxrun.parallel import in_parts

Array = np.typing.NDArray[Any]
TILE = 512
"""Columns of X and of Y that are one product of the BLAS, whichever core computes it."""


ROWS = 512
"""Rows that are multiplied together, at least: each product goes through all of the sums in memory."""


class Products:
    """The mean over rows of x^T y [n, m]; if y is x, of x^T x [n, n], which is symmetric.

    NumPy's rows are multiplied in float64. MLX's are multiplied where it computes, in float32, a block at a
    time, and the blocks are added in float64.
    """

    def __init__(self) -> None:
        self.rows = 0
        """How many were added."""
        self._sums: Array = np.zeros((0, 0))
        self._waiting: list[tuple[Any, Any]] = []
        self._half = False

    def add(self, x: Any, y: Any) -> None:
        """Add rows x [k, n] and y [k, m]."""
        if not isinstance(x, np.ndarray):
            mx.eval(x, y)
        self.rows += len(x)
        self._waiting.append((x, y))
        if sum(len(rows) for rows, _ in self._waiting) >= ROWS:
            self._multiply()

    def mean(self) -> Array:
        """The mean [n, m], which ends the sum: it takes its memory."""
        if self._waiting:
            self._multiply()
        if self._half:
            _mirror(self._sums)
        self._sums /= max(1, self.rows)
        return self._sums

    def _multiply(self) -> None:
        pairs, self._waiting = self._waiting, []
        self._half = all(x is y for x, y in pairs)
        x = joined([x for x, _ in pairs], axis=0)
        y = x if self._half else joined([y for _, y in pairs], axis=0)
        if not self._sums.size:
            self._sums = np.zeros((x.shape[1], y.shape[1]))
        if not isinstance(x, np.ndarray):
            self._sums += np.array(mx.matmul(x.T, y))
            return
        wide = x.astype(np.float64)
        with np.errstate(all="ignore"):  # a damaged model's inputs are not finite; its name is told later
            _add_products(self._sums, wide, wide if self._half else y.astype(np.float64), half=self._half)


def _add_products(sums: Array, x: Array, y: Array, *, half: bool) -> None:
    """Add x^T y to sums [n, m]; with `half` only the tiles on and above the diagonal."""
    tiles = [
        (slice(i, i + TILE), slice(j, j + TILE))
        for i in range(0, x.shape[1], TILE)
        for j in range(i if half else 0, y.shape[1], TILE)
    ]

    def part(first: int, last: int) -> None:
        for rows, columns in tiles[first:last]:
            sums[rows, columns] += x[:, rows].T @ y[:, columns]

    in_parts(part, len(tiles), len(x) * sums.size, blas=True)


def _mirror(sums: Array) -> None:
    """Copy the tiles above the diagonal to below it."""
    for i in range(0, len(sums), TILE):
        for j in range(i, len(sums), TILE):
            above = sums[i : i + TILE, j : j + TILE]
            if i == j:
                above = (above + above.T) / 2
                sums[i : i + TILE, j : j + TILE] = above
            else:
                sums[j : j + TILE, i : i + TILE] = above.T
