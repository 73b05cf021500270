"""A matrix of float32 numbers and its products on a CPU: NumPy needs no help with them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from voxrun.parallel import in_parts

Floats = np.typing.NDArray[np.float32]


@dataclass(frozen=True)
class FloatMatrix:
    """Weights [rows, columns]."""

    weight: Floats

    @property
    def rows(self) -> int:
        """Outputs."""
        return len(self.weight)

    def product(self, x: Floats) -> Floats:
        """X [n, columns] -> [n, rows]."""
        out = np.empty((len(x), self.rows), np.float32)

        def part(first: int, last: int) -> None:
            np.matmul(x, self.weight[first:last].T, out=out[:, first:last])

        in_parts(part, self.rows, x.size * self.rows, blas=True)
        return out

    def take(self, rows: np.typing.NDArray[Any]) -> Floats:
        """Rows [n] -> their weights [n, columns]. Raises IndexError."""
        taken: Floats = self.weight[rows]
        return taken
