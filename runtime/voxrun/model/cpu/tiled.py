"""Products whose bits do not depend on the number of cores."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxrun.arrays import Array, FloatArray
from voxrun.parallel import in_parts

from .dense import FloatMatrix

if TYPE_CHECKING:
    from .packed import Matrix

TILE_ROWS = 256
"""Rows of weights that are one product of the BLAS, whichever core computes it."""


@dataclass(frozen=True)
class Tiled:
    """Stored weights [rows, columns], multiplied in tiles of a fixed size."""

    stored: "Matrix | FloatMatrix"

    @property
    def rows(self) -> int:
        """Outputs."""
        return self.stored.rows

    def product(self, x: FloatArray) -> FloatArray:
        """X [n, columns] -> [n, rows]."""
        out = np.empty((len(x), self.rows), np.float32)

        def part(first: int, last: int) -> None:
            for start in range(first * TILE_ROWS, min(last * TILE_ROWS, self.rows), TILE_ROWS):
                end = min(start + TILE_ROWS, self.rows)
                np.matmul(x, self.stored.unpacked(start, end).T, out=out[:, start:end])

        in_parts(part, -(-self.rows // TILE_ROWS), x.size * self.rows, blas=True)
        return out

    def take(self, rows: Array) -> FloatArray:
        """Rows [n] -> their weights [n, columns]. Raises IndexError."""
        return self.stored.take(rows)
