"""The sliding window: what the cache keeps, at every boundary."""

import numpy as np
import pytest
from comparison import error
from small_models import small_model

from voxrun.device import mx
from voxrun.model.cache import GROWTH, FlatCache
from voxrun.model.layers import Span, new_cache
from voxrun.model.ring import Pass, RingCache


def positions(start: int, n: int) -> mx.array:
    """Keys [1, 2 heads, n, 4] that say which position they are."""
    return mx.broadcast_to(mx.arange(start, start + n, dtype=mx.float32)[None, None, :, None], (1, 2, n, 4))


@pytest.mark.parametrize("window", [1, 2, 7, 20, 300])
@pytest.mark.parametrize(
    "steps", [[1] * 2 * GROWTH + [1] * 9, [3] * 200, [40, 1, 1, 300, 1, 5], [GROWTH, 1], [GROWTH - 1, 2, 1]]
)
def test_cache_returns_exactly_the_window_before_the_new_positions(window: int, steps: list[int]) -> None:
    cache = FlatCache(window)
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
    cache = FlatCache(window=20)
    kept = 0
    for step in range(GROWTH * 4):
        keys, _ = cache.update(positions(step, 1), positions(step, 1))
        kept = max(kept, keys.shape[2], cache._keys.shape[2])
    assert kept <= 20 + 1 + GROWTH


def test_a_guess_that_failed_is_forgotten() -> None:
    cache, plain = FlatCache(window=7), FlatCache(window=7)
    offset = 0
    for guessed, held in [(5, 5), (4, 1), (1, 1), (GROWTH, 9), (16, 2), (3, 3)]:
        cache.update(positions(offset, guessed), positions(offset, guessed))
        cache.rewind(guessed - held)
        plain.update(positions(offset, held), positions(offset, held))
        offset += held
        assert (cache.offset, cache.past, cache.angle) == (plain.offset, plain.past, plain.angle)
    after = [c.update(positions(offset, 2), positions(offset, 2))[0] for c in (cache, plain)]
    assert np.array_equal(*map(np.array, after))


def seen_in_ring(cache: RingCache, n: int) -> list[list[float]]:
    """Write the next n positions; which positions each of them sees."""
    start = cache.offset
    (place,) = Pass.begin([[(cache, n)]], 2, 4, lambda keys, by: keys).places
    keys, values = cache.update(
        mx.concatenate([positions(start, n), -positions(start, n)], axis=1), place.slots
    )
    assert np.array_equal(np.array(keys), -np.array(values))
    return [sorted(np.array(keys)[0, 1, row, 3]) for row in np.array(place.mask)]


def window_before(offset: int, n: int, window: int) -> list[list[int]]:
    """Which positions n rows from `offset` on see."""
    return [list(range(max(0, last - window), last)) for last in range(offset + 1, offset + n + 1)]


@pytest.mark.parametrize("window", [1, 7, 20, 300, 700])
@pytest.mark.parametrize(
    "steps", [[1] * 2 * GROWTH + [1] * 9, [3] * 400, [40, 1, 1, 300, 1, 5, 700, 1], [GROWTH] * 5 + [1]]
)
def test_each_row_sees_exactly_its_window_in_a_ring(window: int, steps: list[int]) -> None:
    cache, offset = RingCache(window), 0
    for n in steps:
        assert seen_in_ring(cache, n) == window_before(offset, n, window)
        offset += n


def test_a_ring_grows_a_few_times_and_not_beyond_the_window() -> None:
    cache, sizes = RingCache(window=8192), set()
    for _ in range(200):
        (place,) = Pass.begin([[(cache, 64)]], 1, 1, lambda keys, by: keys).places
        cache.update(mx.zeros((1, 2, 64, 1)), place.slots)
        sizes.add(cache.ring.shape[2])
        assert cache.capacity < 1.25 * cache.offset + GROWTH
    assert min(sizes) == GROWTH
    assert max(sizes) <= 8192 + GROWTH
    assert len(sizes) < 15


@pytest.mark.parametrize("window", [7, 300])
def test_a_wrong_guess_and_a_copy_leave_no_trace_in_a_ring(window: int) -> None:
    cache, offset = RingCache(window), 0
    for guessed, held in [(5, 5), (4, 1), (1, 1), (GROWTH, 9), (16, 2), (3, 3), *[(16, 3)] * 90, (300, 0)]:
        seen_in_ring(cache.copy(), 5)  # another stream goes on from here
        seen_in_ring(cache, guessed)
        cache.rewind(guessed - held)
        offset += held
        assert (cache.offset, cache.past) == (offset, min(offset, window - 1))
    assert seen_in_ring(cache, 2) == window_before(offset, 2, window)


@pytest.mark.slow
@pytest.mark.parametrize(("kernels", "blocks"), [("", 3000), ("none", 300)])  # up to four hours
def test_rotary_positions_stay_small_and_scores_exact_after_hours(
    monkeypatch: pytest.MonkeyPatch, kernels: str, blocks: int
) -> None:
    """What attention answers depends on the window only: compare with a stream that has just begun."""
    monkeypatch.setenv("VOXRUN_KERNELS", kernels)
    window, block = 20, 64
    model, _ = small_model(sliding_window=window)
    attention = model.language_model.layers[0].attention
    random = np.random.default_rng(0)
    x = mx.array(random.normal(size=(1, block, model.config.decoder.dim)).astype(np.float32))
    old, new = new_cache(window), new_cache(window)
    for _ in range(blocks):
        mx.eval(attention(x, [Span(old, block)]))
        assert old.angle < 3 * window + 2 * GROWTH
    attention(x, [Span(new, block)])  # the same window before what follows
    one = x[:, :1]
    assert old.offset == blocks * block
    assert error(np.array(attention(one, [Span(old, 1)])), np.array(attention(one, [Span(new, 1)]))) < 2e-5
