"""Scaled dot-product attention: MLX's own on a GPU; on a CPU that of `voxrun.model.cpu.attention`."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from voxrun.device import mx, own_kernels

from .cpu.attention import Seen, attend_all


def attend(q: Any, streams: Sequence[Seen], scale: float) -> Any:
    """Queries [1, n, heads, dim] of these streams, one behind the other -> [1, n, heads, dim]."""
    if isinstance(q, np.ndarray):
        return attend_all(q[0], streams, scale)[None]
    if own_kernels():
        return _by_numpy(q, streams, scale)
    outs, start = [], 0
    for seen in streams:
        own = q if len(streams) == 1 else q[:, start : start + seen.n]
        mask = window_mask(seen.keys.shape[2] - seen.n, seen.n, seen.window)
        outs.append(
            mx.fast.scaled_dot_product_attention(
                own.swapaxes(1, 2), seen.keys, seen.values, scale=scale, mask=mask
            ).swapaxes(1, 2)
        )
        start += seen.n
    return outs[0] if len(outs) == 1 else mx.concatenate(outs, axis=1)


def _by_numpy(q: mx.array, streams: Sequence[Seen], scale: float) -> mx.array:
    """Arrays of MLX through NumPy's: for layers that we have no kernel for."""
    inputs = [q, *(array for seen in streams for array in (seen.keys, seen.values))]
    floats = [array.astype(mx.float32) for array in inputs]
    mx.eval(floats)  # of all streams together: waiting for MLX costs as much as a small product
    queries, *others = (np.asarray(array) for array in floats)
    pairs = zip(streams, others[::2], others[1::2], strict=True)
    numpy = [Seen(seen.n, keys, values, seen.window) for seen, keys, values in pairs]
    return mx.array(attend_all(queries[0], numpy, scale, max(seen.n for seen in numpy)))[None]


@lru_cache(maxsize=4)  # the same for all layers, and for most blocks of a long stream
def window_mask(past: int, n: int, window: int) -> mx.array | str | None:
    """The mask of n new queries after `past` cached keys: None if they see all, "causal" within the window.

    Otherwise a boolean [n, past + n] in which query i sees the keys past+i-window+1 .. past+i.
    """
    if n == 1 and past < window:
        return None
    if past + n <= window:
        return "causal"
    query, key = np.arange(past, past + n)[:, None], np.arange(past + n)
    return mx.array((key <= query) & (key > query - window))
