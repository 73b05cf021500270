"""The sliding window: what the cache keeps, what the mask lets through, at every boundary."""

import numpy as np
import pytest
from brute_force import seen

from voxrun.cache import GROWTH, KVCache, window_mask
from voxrun.device import mx


def positions(start: int, n: int) -> mx.array:
    """Keys [1, 2 heads, n, 4] that say which position they are."""
    return mx.broadcast_to(mx.arange(start, start + n, dtype=mx.float32)[None, None, :, None], (1, 2, n, 4))


@pytest.mark.parametrize("window", [1, 2, 7, 20, 300])
@pytest.mark.parametrize(
    "steps", [[1] * 2 * GROWTH + [1] * 9, [3] * 200, [40, 1, 1, 300, 1, 5], [GROWTH, 1], [GROWTH - 1, 2, 1]]
)
def test_cache_returns_exactly_the_window_before_the_new_positions(window: int, steps: list[int]) -> None:
    cache = KVCache(window)
    offset = 0
    for n in steps:
        past = cache.past
        keys, values = cache.update(positions(offset, n), -positions(offset, n))
        offset += n
        expected = np.arange(max(0, offset - n - window + 1), offset)
        assert past == len(expected) - n
        assert np.array_equal(np.array(keys)[0, 1, :, 3], expected)
        assert np.array_equal(np.array(values)[0, 0, :, 0], -expected)
    assert cache.offset == offset


def test_cache_does_not_grow_with_the_stream() -> None:
    cache = KVCache(window=20)
    kept = 0
    for step in range(GROWTH * 4):
        keys, _ = cache.update(positions(step, 1), positions(step, 1))
        kept = max(kept, keys.shape[2], cache._keys.shape[2])
    assert kept <= 20 + 1 + GROWTH


@pytest.mark.parametrize(
    ("past", "n", "window"), [(0, 9, 5), (4, 9, 5), (4, 3, 5), (2, 4, 5), (0, 6, 1), (6, 2, 7)]
)
def test_mask_lets_each_query_see_its_window_and_itself(past: int, n: int, window: int) -> None:
    mask = window_mask(past, n, window)
    assert np.array_equal(np.array(mask), seen(past + n, window)[past:])


@pytest.mark.parametrize(("past", "n", "window"), [(0, 5, 5), (2, 3, 5), (0, 2, 300)])
def test_mask_is_the_plain_causal_one_while_nothing_is_out_of_the_window(
    past: int, n: int, window: int
) -> None:
    assert window_mask(past, n, window) == "causal"
    assert seen(past + n, window)[past:].sum() == sum(range(past + 1, past + n + 1))


def test_a_single_query_needs_no_mask_for_the_cache_is_trimmed() -> None:
    assert window_mask(past=6, n=1, window=7) is None
