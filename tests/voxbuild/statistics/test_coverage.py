"""Intervals hold the true figure as often as they say, over simulated clips."""

import numpy as np
import pytest

from voxbuild.statistics.intervals import difference, rate

SIMULATIONS = 200


def held(interval, true):
    """The share of simulations in which the interval holds the true figure."""
    random = np.random.default_rng(3)
    found = [interval(random, random.integers(3, 40, 48)) for _ in range(SIMULATIONS)]
    return np.mean([each.low <= true <= each.high for each in found])


@pytest.mark.slow
def test_a_rate_of_unequal_clips_is_held():
    def interval(random, words):
        return rate(random.binomial(words, random.beta(0.5, 5.75, len(words))), words)

    assert 0.9 < held(interval, 0.08) < 0.99


@pytest.mark.slow
def test_a_difference_in_a_few_clips_is_held():
    def interval(random, words):
        more = random.choice([1, 1, -1], len(words)) * (random.random(len(words)) < 0.3)
        return difference(more, np.zeros(len(words)), words)

    assert 0.9 < held(interval, 0.3 / 3 / 21) < 0.99
