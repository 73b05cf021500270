"""Intervals by the bootstrap over clips: which clips were recorded is chance, so they are drawn again."""

from collections.abc import Sequence

import numpy as np

TIMES, SEED = 10_000, 2602
BOUNDS = 2.5, 97.5
"""Percentiles of a 95 % interval."""

Interval = tuple[float, float]


def ratio(above: Sequence[float], below: Sequence[float]) -> Interval:
    """95 % interval of sum(above) / sum(below), each a number for every clip, in the same order.

    Both are taken of the same draws, so of two variants' KL this is the paired bootstrap, in which hard clips
    are hard for both.
    """
    draws = np.random.default_rng(SEED).multinomial(len(above), [1 / len(above)] * len(above), TIMES)
    ratios = draws @ np.asarray(above, np.float64) / (draws @ np.asarray(below, np.float64))
    low, high = np.percentile(ratios, BOUNDS)
    return float(low), float(high)
