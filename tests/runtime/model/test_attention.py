"""Who sees whom at every boundary of the window, and that all ways of computing it agree."""

import numpy as np
import pytest
from brute_force import seen
from comparison import error

from voxrun.device import mx
from voxrun.model.attention import attend, attend_rings
from voxrun.model.cpu.attention import Seen
from voxrun.model.ring import Pass, RingCache, ring_mask


@pytest.mark.parametrize(
    ("past", "n", "window"),
    [(0, 9, 5), (4, 9, 5), (4, 3, 5), (0, 6, 1), (6, 2, 7), (6, 1, 7), (2, 3, 5), (0, 2, 300), (0, 1, 1)],
)
@pytest.mark.parametrize("spare", [0, 3, 20])
def test_mask_lets_each_query_see_its_window_and_itself(past: int, n: int, window: int, spare: int) -> None:
    """Whatever else is in the ring's slots."""
    end, capacity = past + n, min(past, window - 1) + n + spare
    mask, wanted = ring_mask(end, n, window, capacity), seen(end, window)[past:]
    assert mask.shape == (n, capacity)
    for found, expected in zip(mask, wanted, strict=True):
        assert sorted(np.flatnonzero(found)) == sorted(np.flatnonzero(expected) % capacity)


@pytest.mark.parametrize("way", ["NumPy", "MLX's arrays by NumPy", "ring"])
@pytest.mark.parametrize(
    ("past", "n", "window"), [(0, 9, 5), (4, 9, 5), (4, 1, 5), (2, 3, 5), (300, 40, 301), (0, 1, 1)]
)
def test_attention_is_the_softmax_over_what_is_seen(way: str, past: int, n: int, window: int) -> None:
    """Four heads, of which two share keys and values; scores are far apart, and beyond the window huge."""
    random = np.random.default_rng(0)
    q = random.normal(size=(1, 4, n, 8)).astype(np.float32) * 9
    keys, values = (random.normal(size=(1, 2, past + n, 8)).astype(np.float32) for _ in range(2))
    scores = np.einsum("hqd,hkd->hqk", q[0].astype(float), np.repeat(keys[0], 2, axis=0).astype(float)) * 0.3
    scores[:, ~seen(past + n, window)[past:]] = -np.inf
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    expected = (weights / weights.sum(axis=2, keepdims=True)) @ np.repeat(values[0], 2, axis=0)
    if way == "ring":
        ours = np.array(by_ring(q, keys, values, window, 0.3))[0]
    else:
        array = np.asarray if way == "NumPy" else mx.array
        seen_here = Seen(n, array(keys), array(values), window)
        ours = np.array(attend(array(q.swapaxes(1, 2)), [seen_here], 0.3))[0].swapaxes(0, 1)
    assert error(ours, expected) < 2e-6


def by_ring(q: np.ndarray, keys: np.ndarray, values: np.ndarray, window: int, scale: float) -> mx.array:
    """The last queries' answers [1, heads, n, dim], from a ring into which earlier keys came one by one."""
    cache, n = RingCache(window), q.shape[2]
    counts = [1] * (keys.shape[2] - n) + [n]
    for first, count in enumerate(counts):
        shared = Pass.begin([[(cache, count)]], 2, 8, lambda keys, by: keys)
        new = np.concatenate([keys, values], axis=1)[:, :, first : first + count]
        out = attend_rings(mx.array(q[:, :, :count]), mx.array(new), [cache], shared.places, scale)
    return out if n == 1 else out.swapaxes(1, 2)
