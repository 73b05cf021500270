"""Who sees whom at every boundary of the window, and that both ways of computing it agree."""

import numpy as np
import pytest
from brute_force import seen
from comparison import error

from voxrun.device import mx
from voxrun.model.attention import attend, window_mask
from voxrun.model.cpu.attention import Seen


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


@pytest.mark.parametrize("kernels", ["", "none"])
@pytest.mark.parametrize(
    ("past", "n", "window"), [(0, 9, 5), (4, 9, 5), (4, 1, 5), (2, 3, 5), (300, 40, 301), (0, 1, 1)]
)
def test_attention_is_the_softmax_over_what_is_seen(
    monkeypatch: pytest.MonkeyPatch, kernels: str, past: int, n: int, window: int
) -> None:
    """Four heads, of which two share keys and values; scores are far apart, and beyond the window huge."""
    monkeypatch.setenv("VOXRUN_KERNELS", kernels)
    random = np.random.default_rng(0)
    q = random.normal(size=(1, 4, n, 8)).astype(np.float32) * 9
    keys, values = (random.normal(size=(1, 2, past + n, 8)).astype(np.float32) for _ in range(2))
    scores = np.einsum("hqd,hkd->hqk", q[0].astype(float), np.repeat(keys[0], 2, axis=0).astype(float)) * 0.3
    scores[:, ~seen(past + n, window)[past:]] = -np.inf
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    expected = (weights / weights.sum(axis=2, keepdims=True)) @ np.repeat(values[0], 2, axis=0)
    rows = q.swapaxes(1, 2)
    for array in (mx.array, np.asarray):
        ours = attend(array(rows), [Seen(n, array(keys), array(values), window)], 0.3)
        assert error(np.array(ours)[0].swapaxes(0, 1), expected) < 2e-6
