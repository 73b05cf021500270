"""Rotary positions over interleaved pairs (contract steps 5 and 8), for rows of several streams at once."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from voxrun.arrays import Array
from voxrun.device import mx

Span = tuple[int, int]
"""The position of a stream's first row, and how many rows it has."""
FOREVER = 1e30
"""A period so long that nothing turns: rounding loses the angles; only a zero may become 1e-25 or so.

Not infinity, which fast math rules out. On a GPU, as for keys at position 0, cos(0) must be 1."""


class Rotary:
    """Rotates keys and queries; one object for all layers, which share the angles of a pass."""

    def __init__(self, theta: float, head_dim: int) -> None:
        periods = theta ** (np.arange(0, head_dim, 2) / head_dim)
        self._periods, self._head_dim = periods, head_dim
        self._arrays: dict[tuple[int, int], mx.array] = {}
        self._spans: Sequence[Span] = ()
        self._turns: Array = np.ones((0, 1, 1), np.complex64)

    def rotate(self, x: Any, spans: Sequence[Span]) -> Any:
        """X [1, n, heads, head dim], the rows of `spans` one behind the other, rotated to their positions."""
        if isinstance(x, np.ndarray):
            pairs = np.ascontiguousarray(x).view(np.complex64)
            return (pairs * self._turned(spans)).view(np.float32)
        if len(spans) == 1:
            return self._rope(x.swapaxes(1, 2), spans[0][0]).swapaxes(1, 2)
        positions = [first + i for first, n in spans for i in range(n)]
        return self._rope(x[0][:, :, None], mx.array(positions, mx.int32))[:, :, 0][None]

    def turned(self, x: mx.array, positions: mx.array, still: int) -> mx.array:
        """X [streams, n, heads * head dim], each stream's n rows from its position in `positions` on.

        The last `still` heads are as they were: the product's values need not be cut off before.
        """
        return self._rope(x, positions, x.shape[-1] // self._head_dim - still, still)

    def _rope(self, x: mx.array, offset: Any, turning: int = 1, still: int = 0) -> mx.array:
        """X's last dimension has the pairs of so many heads."""
        return mx.fast.rope(
            x,
            (turning + still) * self._head_dim,
            traditional=True,
            base=None,
            scale=1.0,
            offset=offset,
            freqs=self._periods_of(turning, still),
        )

    def _periods_of(self, turning: int, still: int) -> mx.array:
        # mx.fast.rope is about twice as accurate at long positions with these as with a base.
        if (turning, still) not in self._arrays:
            periods = [self._periods] * turning + [np.full(len(self._periods), FOREVER)] * still
            self._arrays[turning, still] = mx.array(np.concatenate(periods), mx.float32)
        return self._arrays[turning, still]

    def _turned(self, spans: Sequence[Span]) -> Array:
        """A rotation [n, 1, head dim / 2] for each row, as complex numbers."""
        if spans != self._spans:
            positions = np.concatenate([np.arange(first, first + n) for first, n in spans])
            angles = positions[:, None] / self._periods
            self._turns = (np.cos(angles) + 1j * np.sin(angles)).astype(np.complex64)[:, None]
            self._spans = spans
        return self._turns


@cache
def rotary(theta: float, head_dim: int) -> Rotary:
    """The rotation of these sizes."""
    return Rotary(theta, head_dim)
