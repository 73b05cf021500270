"""Scaled dot-product attention: MLX's own on a GPU; on a CPU NumPy's products and exponentials.

MLX's softmax on a CPU takes some 12 ns for each score, NumPy's vectorized exponential about one.
"""

from functools import lru_cache

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.device import mx, own_kernels
from voxrun.parallel import in_parts


def attend(q: mx.array, keys: mx.array, values: mx.array, scale: float, window: int) -> mx.array:
    """Queries [1, heads, n, dim] and keys and values [1, kv heads, m, dim] -> [1, heads, n, dim].

    The queries are at the last n of m positions; each sees the last `window` positions up to and including
    its own (contract steps 5 and 8).
    """
    n, m = q.shape[2], keys.shape[2]
    if not own_kernels():
        mask = window_mask(m - n, n, window)
        return mx.fast.scaled_dot_product_attention(q, keys, values, scale=scale, mask=mask)
    inputs = [array.astype(mx.float32) for array in (q * scale, keys, values)]
    mx.eval(inputs)  # together: waiting for MLX costs as much as a small product
    queries, k, v = (np.asarray(array)[0] for array in inputs)
    return mx.array(_attend(queries, k, v, _bias(m - n, n, window)))[None]


@lru_cache(maxsize=4)  # the same for all layers, and for most blocks of a long stream
def window_mask(past: int, n: int, window: int) -> mx.array | str | None:
    """The mask of n new queries after `past` cached keys: None if they see all, "causal" within the window.

    Otherwise a boolean [n, past + n] in which query i sees the keys past+i-window+1 .. past+i.
    """
    if n == 1 and past < window:
        return None
    if past + n <= window:
        return "causal"
    return mx.array(_seen(past, n, window))


def _seen(past: int, n: int, window: int) -> np.typing.NDArray[np.bool_]:
    query, key = np.arange(past, past + n)[:, None], np.arange(past + n)
    seen: np.typing.NDArray[np.bool_] = (key <= query) & (key > query - window)
    return seen


@lru_cache(maxsize=4)
def _bias(past: int, n: int, window: int) -> FloatArray | None:
    if n == 1 and past < window:
        return None
    return np.where(_seen(past, n, window), np.float32(0), np.float32(-np.inf))


def _attend(q: FloatArray, keys: FloatArray, values: FloatArray, bias: FloatArray | None) -> FloatArray:
    """Scaled q [heads, n, dim], keys and values [kv heads, m, dim], bias [n, m] -> [heads, n, dim]."""
    out = np.empty_like(q)
    shared = len(q) // len(keys)  # heads that share keys and values

    def part(first: int, last: int) -> None:
        for head in range(first, last):
            scores = q[head] @ keys[head // shared].T
            if bias is not None:
                scores += bias
            scores -= scores.max(axis=1, keepdims=True)
            np.exp(scores, out=scores)
            total = scores.sum(axis=1, keepdims=True)
            out[head] = scores @ values[head // shared] / total

    in_parts(part, len(q), 2 * q.size * keys.shape[1], blas=True)
    return out
