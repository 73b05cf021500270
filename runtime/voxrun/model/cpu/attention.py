"""Attention on a CPU, by NumPy's products and exponentials.

MLX's softmax on a CPU takes some 12 ns for each score, NumPy's vectorized exponential about one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from voxrun.arrays import Array, FloatArray
from voxrun.parallel import in_parts

QUERIES = 64
"""Queries whose scores are computed together: the keys that none of them sees are left out."""
SCORES = 2**16
"""Scores of several heads that are computed together, at most: they stay in a core's cache."""


@dataclass(frozen=True)
class Seen:
    """One stream's n queries, at the last n of m positions, and its keys and values [1, kv heads, m, dim]."""

    n: int
    keys: Any
    values: Any
    window: int
    """Each query sees the last `window` positions up to and including its own (contract steps 5 and 8)."""


@dataclass(frozen=True)
class _Block:
    """Some queries of one stream, and the kv heads `first` to `last`."""

    q: FloatArray
    """[heads, n, dim], scaled."""
    keys: FloatArray
    """[kv heads, m, dim]: those that at least one of the queries sees."""
    values: FloatArray
    past: int
    """Keys before the first query's own."""
    window: int
    out: FloatArray
    """[heads, n, dim]"""

    def compute(self) -> None:
        """Softmax of the scores, times the values."""
        kv, n = len(self.keys), self.q.shape[1]
        q = self.q.reshape(kv, -1, n, self.q.shape[2])  # heads that share keys and values
        scores = q @ self.keys[:, None].swapaxes(2, 3)
        if n > 1:
            self._mask(scores)
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        total = scores.sum(axis=-1, keepdims=True)
        out = scores @ self.values[:, None]
        out /= total
        self.out[:] = out.reshape(self.out.shape)

    def _mask(self, scores: FloatArray) -> None:
        """Keys after a query's own, and those that are beyond its window."""
        n = scores.shape[-2]
        scores[..., self.past :] += _after(n)
        beyond = self.past + n - self.window  # keys that the last query no longer sees
        if beyond > 0:
            scores[..., :beyond] += _before(n, beyond)


def attend_all(q: FloatArray, streams: Sequence[Seen], scale: float, queries: int = QUERIES) -> FloatArray:
    """Queries [n, heads, dim] -> [n, heads, dim], the blocks of all streams and heads on all cores."""
    q = q * np.float32(scale)
    out = np.empty_like(q)
    blocks, start = list[_Block](), 0
    for seen in streams:
        rows = slice(start, start + seen.n)
        blocks += _blocks(q[rows].swapaxes(0, 1), seen, out[rows].swapaxes(0, 1), queries)
        start += seen.n

    def part(first: int, last: int) -> None:
        for block in blocks[first:last]:
            block.compute()

    work = 2 * sum(block.q.size * block.keys.shape[1] for block in blocks)
    in_parts(part, len(blocks), work, blas=True)
    return out


def _blocks(q: FloatArray, seen: Seen, out: FloatArray, queries: int) -> Iterator[_Block]:
    """One stream's queries [heads, n, dim] in blocks."""
    keys, values, past = seen.keys[0], seen.values[0], seen.keys.shape[2] - seen.n
    shared = len(q) // len(keys)
    for first in range(0, seen.n, queries):
        last = min(first + queries, seen.n)
        since, end = max(0, past + first - seen.window + 1), past + last
        step = max(1, SCORES // (shared * (last - first) * (end - since)))
        for head in range(0, len(keys), step):
            heads, own = slice(head, head + step), slice(head * shared, (head + step) * shared)
            yield _Block(
                q[own, first:last],
                keys[heads, since:end],
                values[heads, since:end],
                past + first - since,
                seen.window,
                out[own, first:last],
            )


@lru_cache(maxsize=256)
def _after(n: int) -> FloatArray:
    """A bias [n, n] against the keys after each query's own."""
    return _bias(np.tri(n, k=0) == 0)


@lru_cache(maxsize=256)
def _before(n: int, beyond: int) -> FloatArray:
    """A bias [n, beyond] against the oldest keys, of which the last query sees none."""
    return _bias(np.arange(beyond) <= np.arange(n)[:, None] - (n - beyond))


def _bias(hidden: Array) -> FloatArray:
    return np.where(hidden, np.float32(-np.inf), np.float32(0))
