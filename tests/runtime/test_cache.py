"""The sliding window: what the cache keeps, at every boundary."""

import numpy as np
import pytest

from voxrun.cache import GROWTH, KVCache
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


def test_a_guess_that_failed_is_forgotten() -> None:
    cache, plain = KVCache(window=7), KVCache(window=7)
    offset = 0
    for guessed, held in [(5, 5), (4, 1), (1, 1), (GROWTH, 9), (16, 2), (3, 3)]:
        cache.update(positions(offset, guessed), positions(offset, guessed))
        cache.rewind(guessed - held)
        plain.update(positions(offset, held), positions(offset, held))
        offset += held
        assert (cache.offset, cache.past) == (plain.offset, plain.past)
    after = [c.update(positions(offset, 2), positions(offset, 2))[0] for c in (cache, plain)]
    assert np.array_equal(*map(np.array, after))
