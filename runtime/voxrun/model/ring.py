"""Keys and values for MLX's own attention: rings of slots, and what all layers of a stack share in a pass.

Which slots are written and seen, and the rotary positions, are arrays, made once a pass on the host. So a
step has the same graph wherever it is in the stream, and no layer computes them again.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from voxrun.arrays import Array
from voxrun.device import mx

from .cache import GROWTH, KVCache, Rotate


class RingCache(KVCache):
    """Keys and values in one array, a ring: position p of the stream is in slot p % capacity.

    A pass writes both at once. Attention reads two views; MLX's kernels for Metal and CUDA copy no view of a
    single stream whose last dimension is contiguous. The capacity, a multiple of GROWTH, grows with a short
    stream by a quarter or more at a time. A full ring has room for the window and GROWTH rows of a pass.
    """

    def __init__(self, window: int) -> None:
        super().__init__(window)
        self.capacity = 0
        self.ring: Any = None
        """[1, 2 kv heads, capacity, head dim], keys before values; None before the first pass."""

    @classmethod
    def of(cls, window: int, ring: mx.array) -> "RingCache":
        """One with this array, to be written to in a pass that was begun elsewhere."""
        cache = cls(window)
        cache.ring, cache.capacity = ring, ring.shape[2]
        return cache

    def advance(self, n: int) -> None:
        """Make room for n positions, whose keys and values `update` then writes.

        What `rewind` drops is no loss: nothing in those slots was within the window of a later position.
        """
        if self.past + n > self.capacity:
            self._enlarge(self.past + n)
        self.offset += n
        self.angle += n

    def update(self, rows: mx.array, slots: mx.array) -> tuple[mx.array, mx.array]:
        """Write rows [1, 2 kv heads, n, head dim] to slots (int32 of the same shape).

        Returns all keys and all values, [1, kv heads, capacity, head dim].
        """
        if self.ring is None:
            self.ring = mx.zeros((*rows.shape[:2], self.capacity, rows.shape[3]), rows.dtype)
        self.ring = mx.put_along_axis(self.ring, slots, rows, axis=2)
        keys, values = mx.split(self.ring, 2, axis=1)
        return keys, values

    def copy(self) -> "RingCache":
        """The same positions, to go on with independently: MLX copies a shared ring before it writes."""
        return copy(self)

    def _rotate(self, rotate: Rotate, by: int) -> None:
        if self.ring is not None:
            keys, values = mx.split(self.ring, 2, axis=1)
            self.ring = mx.concatenate([rotate(keys, by), values], axis=1)

    def _enlarge(self, needed: int) -> None:
        full = _whole(self.window - 1 + GROWTH)
        capacity = _whole(needed) if needed > full else min(full, _whole(needed + needed // 4))
        if self.ring is not None:
            kept = np.arange(self.offset - self.past, self.offset)
            old, new = mx.array(kept % self.capacity), mx.array(kept % capacity)
            larger = mx.zeros((*self.ring.shape[:2], capacity, self.ring.shape[3]), self.ring.dtype)
            larger[:, :, new] = self.ring[:, :, old]
            self.ring = larger
        self.capacity = capacity


def _whole(positions: int) -> int:
    """Rounded up to a multiple of GROWTH."""
    return -(-positions // GROWTH) * GROWTH


class Place(NamedTuple):
    """Where the rows of one stream are written, and what they see."""

    n: int
    slots: mx.array
    """Int32 [1, 2 kv heads, n, head dim]."""
    mask: mx.array
    """Booleans [n, capacity]."""


@dataclass(frozen=True)
class Pass:
    """What all layers of a stack share in a pass."""

    positions: mx.array
    """Rotary positions: of several streams one for each row, else [1], the first row's."""
    places: list[Place]

    @classmethod
    def begin(
        cls, layers: Sequence[Sequence[tuple[Any, int]]], kv_heads: int, head_dim: int, rotate: Rotate
    ) -> "Pass":
        """Make room for each stream's rows, (cache, n), in all layers, whose caches are alike."""
        for layer in layers:
            for cache, n in layer:
                cache.turn_back(rotate)
                cache.advance(n)
        streams = layers[0]
        starts = [cache.angle - n for cache, n in streams]
        rows = [start + i for start, (_, n) in zip(starts, streams, strict=True) for i in range(n)]
        positions = mx.array(starts if len(streams) == 1 else rows, mx.int32)
        return cls(positions, [_place(cache, n, kv_heads, head_dim) for cache, n in streams])


def _place(cache: RingCache, n: int, kv_heads: int, head_dim: int) -> Place:
    """Of the last n positions of a cache."""
    slots = np.arange(cache.offset - n, cache.offset) % cache.capacity
    index = mx.array(slots.astype(np.int32)[None, None, :, None])
    mask = ring_mask(cache.offset, n, cache.window, cache.capacity)
    return Place(n, mx.broadcast_to(index, (1, 2 * kv_heads, n, head_dim)), mx.array(mask))


def ring_mask(end: int, n: int, window: int, capacity: int) -> Array:
    """Which slots the last n of `end` positions see, booleans [n, capacity].

    Each sees the last `window` positions up to and including its own (contract steps 5 and 8).
    """
    held = end - 1 - (end - 1 - np.arange(capacity)) % capacity  # the newest position that a slot can hold
    query = np.arange(end - n, end)[:, None]
    mask: Array = (held >= 0) & (held <= query) & (held > query - window)
    return mask
