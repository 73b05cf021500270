"""Keys and values of the positions in a sliding window."""

from collections.abc import Callable
from copy import copy
from typing import Any

import numpy as np

from voxrun.device import mx

from .functions import joined

GROWTH = 256
"""Positions allocated at a time: growing by one would copy the whole cache at every step."""

Rotate = Callable[[Any, int], Any]
"""Rotates keys [1, kv heads, n, head dim] by so many positions."""


class KVCache:
    """What is counted of a layer's keys and values: of the last `window` - 1 positions and the new ones."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.offset = 0
        self.angle = 0
        """The rotary position of the next one; `turn_back` keeps it within a few windows."""

    @property
    def past(self) -> int:
        """Earlier positions that the next query may see."""
        return min(self.offset, self.window - 1)

    def rewind(self, n: int) -> None:
        """Drop the last n positions, all from the last update: they were wrong guesses."""
        self.offset -= n
        self.angle -= n

    def copy(self) -> "KVCache":
        """The same positions, to go on with independently."""
        raise NotImplementedError

    def turn_back(self, rotate: Rotate) -> None:
        """Renumber rotary positions from the oldest key, once they have grown far beyond it.

        Scores depend only on differences of positions, but a float32 angle loses precision as it grows: after
        a day of audio, scores would be off by 0.3.
        """
        shift = self.angle - self.past
        if shift >= 2 * self.window + GROWTH:
            self._rotate(rotate, -shift)
            self.angle -= shift

    def _rotate(self, rotate: Rotate, by: int) -> None:
        """Rotate at least the keys that the next query may see."""
        raise NotImplementedError


class FlatCache(KVCache):
    """Keys and values [1, kv heads, positions, head dim] in their order, NumPy's or MLX's.

    The cache is trimmed, and attention is masked too: a query sees `window` positions, its own included
    (contract steps 5 and 8), even while older keys are in the buffer.
    """

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self._end = 0
        self._keys: Any = None
        self._values: Any = None

    def update(self, keys: Any, values: Any) -> tuple[Any, Any]:
        """Append n positions; return the last `past` + n."""
        n, past = keys.shape[2], self.past
        if self._keys is None or self._end + n > self._keys.shape[2]:
            self._make_room(keys, values, past, n)
        start, end = self._end - past, self._end + n
        self._keys[..., self._end : end, :] = keys
        self._values[..., self._end : end, :] = values
        self._end = end
        self.offset += n
        self.angle += n
        return self._keys[..., start:end, :], self._values[..., start:end, :]

    def rewind(self, n: int) -> None:
        """Drop the last n positions, all from the last update."""
        super().rewind(n)
        self._end -= n

    def copy(self) -> "FlatCache":
        """The same positions, to go on with independently; room to grow is made when it is needed."""
        twin = copy(self)
        for name in ("_keys", "_values"):
            if getattr(self, name) is not None:
                kept = getattr(self, name)[..., : self._end, :]
                setattr(twin, name, kept.copy() if isinstance(kept, np.ndarray) else mx.array(kept))
        return twin

    def _rotate(self, rotate: Rotate, by: int) -> None:
        if self._keys is not None:
            kept = self._keys[..., self._end - self.past : self._end, :]
            self._keys[..., self._end - self.past : self._end, :] = rotate(kept, by)

    def _make_room(self, keys: Any, values: Any, past: int, n: int) -> None:
        def moved(old: Any, like: Any) -> Any:
            zeros = np.zeros if isinstance(like, np.ndarray) else mx.zeros
            room = zeros((*like.shape[:2], n + GROWTH, like.shape[3]), like.dtype)
            if old is None or not past:
                return room
            return joined([old[..., self._end - past : self._end, :], room], axis=2)

        self._keys, self._values = moved(self._keys, keys), moved(self._values, values)
        self._end = past
