"""Scaled dot-product attention: MLX's own over rings; on a CPU that of `voxrun.model.cpu.attention`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxrun.device import mx

from .cpu.attention import Seen, attend_all
from .ring import Place, RingCache


def attend(q: Any, streams: Sequence[Seen], scale: float) -> Any:
    """Queries [1, n, heads, dim] of these streams, one behind the other -> [1, n, heads, dim]."""
    if isinstance(q, np.ndarray):
        return attend_all(q[0], streams, scale)[None]
    return _by_numpy(q, streams, scale)


def attend_rings(
    q: mx.array, kv: mx.array, caches: Sequence[RingCache], places: Sequence[Place], scale: float
) -> mx.array:
    """Write a layer's keys and values to the caches; its queries' answers [1, rows, heads, dim], or as q is.

    Q, and kv, keys before values, are [1, heads, n, dim] of one stream, or [rows, heads, 1, dim] of several.
    """
    if len(caches) == 1:
        out = _attend_ring(q, kv, caches[0], places[0], scale)
        return out if q.shape[2] == 1 else out.swapaxes(1, 2)
    ends = np.cumsum([place.n for place in places])[:-1].tolist()
    own = zip(mx.split(q, ends), mx.split(kv, ends), caches, places, strict=True)
    outs = [
        _turned(_attend_ring(_turned(queries), _turned(new), cache, place, scale))
        for queries, new, cache, place in own
    ]
    return mx.concatenate(outs)


def _attend_ring(q: mx.array, kv: mx.array, cache: RingCache, place: Place, scale: float) -> mx.array:
    """The same of one stream, all [1, heads, n, dim]."""
    keys, values = cache.update(kv, place.slots)
    return mx.fast.scaled_dot_product_attention(q, keys, values, scale=scale, mask=place.mask)


def _turned(rows: mx.array) -> mx.array:
    """[n, heads, 1, dim] -> [1, heads, n, dim], and back."""
    return rows if rows.shape[0] == rows.shape[2] else rows.swapaxes(0, 2)


def _by_numpy(q: mx.array, streams: Sequence[Seen], scale: float) -> mx.array:
    """Arrays of MLX through NumPy's: for layers that we have no kernel for."""
    inputs = [q, *(array for seen in streams for array in (seen.keys, seen.values))]
    floats = [array.astype(mx.float32) for array in inputs]
    mx.eval(floats)  # of all streams together: waiting for MLX costs as much as a small product
    queries, *others = (np.asarray(array) for array in floats)
    pairs = zip(streams, others[::2], others[1::2], strict=True)
    numpy = [Seen(seen.n, keys, values, seen.window) for seen, keys, values in pairs]
    return mx.array(attend_all(queries[0], numpy, scale, max(seen.n for seen in numpy)))[None]
