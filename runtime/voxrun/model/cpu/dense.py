"""A float32 matrix and its products on a CPU, by NumPy."""

from dataclasses import dataclass

import numpy as np

from voxrun.arrays import Array, FloatArray
from voxrun.parallel import in_parts

LEFT_ROWS = 64
"""Up to this many rows, OpenBLAS is up to twice as fast with the weights as the left factor."""


@dataclass(frozen=True)
class FloatMatrix:
    """Weights [rows, columns]."""

    weight: FloatArray
    left_rows: int = LEFT_ROWS

    @property
    def rows(self) -> int:
        """Outputs."""
        return len(self.weight)

    def product(self, x: FloatArray) -> FloatArray:
        """X [n, columns] -> [n, rows]."""
        left = 1 < len(x) <= self.left_rows
        out = np.empty((self.rows, len(x)) if left else (len(x), self.rows), np.float32)

        def part(first: int, last: int) -> None:
            if left:
                np.matmul(self.weight[first:last], x.T, out=out[first:last])
            else:
                np.matmul(x, self.weight[first:last].T, out=out[:, first:last])

        in_parts(part, self.rows, x.size * self.rows, blas=True)
        return np.ascontiguousarray(out.T) if left else out

    def unpacked(self, first: int, last: int) -> FloatArray:
        """The weights of some rows [last - first, columns]."""
        return self.weight[first:last]

    def take(self, rows: Array) -> FloatArray:
        """Rows [n] -> their weights [n, columns]. Raises IndexError."""
        taken: FloatArray = self.weight[rows]
        return taken
