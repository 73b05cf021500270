"""95 % intervals of figures over clips: which clips were recorded is chance, so they are drawn again.

A figure is a ratio of sums over clips: errors to words, agreeing positions to positions. Draws of clips (or
of speakers, where enough are known) tell how far such a ratio strays, measured in its own standard errors:
the studentised bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 12.5). Where
hardly anything went wrong, draws of clips tell nothing; there an interval is at least as wide as if each word
were right or wrong by itself. `benchmarks/interval_coverage.py` shows how often such intervals hold the true
figure.
"""

from collections.abc import Hashable, Sequence
from functools import lru_cache
from math import isfinite, nan, sqrt
from statistics import NormalDist
from typing import Any

import numpy as np

from .estimate import LEVEL, UNKNOWN, Estimate

Numbers = np.typing.NDArray[np.float64]
Counts = np.typing.NDArray[np.uint8]
DRAWS, SEED = 4000, 2602
NORMAL = NormalDist()
Z = 1.959964
"""The normal distribution's quantile of a 95 % interval."""
FEWEST_SPEAKERS = 10
"""Fewer say nothing about other speakers: then clips are drawn, and a figure holds for these speakers."""
AT_ONCE = 2**22
"""Numbers converted at a time, to limit memory."""


def rate(
    events: Sequence[float], trials: Sequence[float], speakers: Sequence[Hashable] | None = None
) -> Estimate:
    """Sum of events over sum of trials (errors and words), one of each for every clip. Above 0.

    NaN if there are no trials, or a number is not finite.
    """
    summed = _sums([events, trials], speakers)
    value = _ratio(summed)
    if not isfinite(value):
        return UNKNOWN
    low, high = _studentised(summed, symmetric=False, least=0.25)
    floor_low, floor_high = _independent(value, float(summed[1].sum()))
    return Estimate(value, max(0.0, min(low, floor_low, value)), max(high, floor_high, value))


def share(
    events: Sequence[float], trials: Sequence[float], speakers: Sequence[Hashable] | None = None
) -> Estimate:
    """The same of events that happen at most once in a trial: at most 1."""
    found = rate(events, trials, speakers)
    return Estimate(found.value, found.low, min(found.high, 1.0)) if isfinite(found.value) else found


def difference(
    ours: Sequence[float],
    theirs: Sequence[float],
    trials: Sequence[float],
    speakers: Sequence[Hashable] | None = None,
) -> Estimate:
    """The rate of our events minus that of theirs in the same clips, which are hard or easy for both."""
    more = np.subtract(np.asarray(ours, np.float64), np.asarray(theirs, np.float64))
    summed = _sums([more, trials], speakers)
    value = _ratio(summed)
    if not isfinite(value):
        return UNKNOWN
    low, high = _studentised(summed, symmetric=True, least=1.0)
    least = Z * Z / float(summed[1].sum())
    return Estimate(value, min(low, value - least), max(high, value + least))


def mean(
    sums: Sequence[float], counts: Sequence[float], speakers: Sequence[Hashable] | None = None
) -> Estimate:
    """The mean of numbers that are not negative, given their sum and how many there are in each clip."""
    summed = _sums([sums, counts], speakers)
    value = _ratio(summed)
    if not isfinite(value):
        return UNKNOWN
    low, high = _studentised(summed, symmetric=False, least=0.0)
    return Estimate(value, max(0.0, min(low, value)), max(high, value))


def quantile(values: Sequence[Numbers], q: float, speakers: Sequence[Hashable] | None = None) -> Estimate:
    """The quantile `q` of all numbers of all clips, an array for each clip.

    Its interval is that of the share of numbers above it, read from the same numbers (Woodruff, 1952). The
    upper bound is the greatest number if that share may be 0.
    """
    everything = np.concatenate([np.asarray(each, np.float64) for each in values] or [np.zeros(0)])
    if not len(everything) or not np.isfinite(everything).all():
        return UNKNOWN
    value = float(np.quantile(everything, q))
    above = rate([float((each > value).sum()) for each in values], [len(each) for each in values], speakers)
    low, high = np.quantile(everything, [max(0.0, 1 - above.high), min(1.0, 1 - above.low)])
    return Estimate(value, min(float(low), value), max(float(high), value))


def _sums(columns: Sequence[Any], speakers: Sequence[Hashable] | None) -> Numbers:
    """Columns by clip [columns, clips], added up by speaker if there are enough; in an order of their own.

    So the order of the clips changes no draw.
    """
    table = np.array([np.asarray(column, np.float64) for column in columns])
    if speakers is not None and None not in speakers and len(set(speakers)) >= FEWEST_SPEAKERS:
        names = {speaker: number for number, speaker in enumerate(dict.fromkeys(speakers))}
        by_speaker = np.zeros((len(table), len(names)))
        np.add.at(by_speaker.T, [names[speaker] for speaker in speakers], table.T)
        table = by_speaker
    return table[:, np.lexsort(table)]


def _ratio(summed: Numbers) -> float:
    above, below = summed.sum(axis=1) if summed.size else (nan, nan)
    return float(above / below) if below > 0 and np.isfinite(above) else nan


def _independent(value: float, trials: float) -> tuple[float, float]:
    """Wilson's interval of a rate, as if trials were independent; 0 to 3.84 in N where nothing happened."""
    value, c = min(value, 1.0), Z * Z
    middle = (value + c / (2 * trials)) / (1 + c / trials)
    half = Z / (1 + c / trials) * np.sqrt(value * (1 - value) / trials + c / (4 * trials**2))
    return float(middle - half), float(middle + half)


def _studentised(summed: Numbers, symmetric: bool, least: float) -> tuple[float, float]:
    """Bounds of above/below by the studentised bootstrap; `summed` is [above or below, clips].

    `least` is added to variances of sums, and at least that of one clip, so that a draw of equal clips has a
    variance. One clip alone has no bounds but the value itself.
    """
    above, below = summed
    n, total, value = len(above), below.sum(), _ratio(summed)
    if n < 2:
        return value, value
    columns = np.stack([above, below, above * above, above * below, below * below], axis=1)
    a, b, aa, ab, bb = _drawn(columns)
    drawn = a / b
    correction = n / (n - 1)
    own = correction * float(np.square(above - value * below).sum())
    least = max(least, own / n)
    spread = correction * np.maximum(aa - 2 * drawn * ab + drawn * drawn * bb, 0) + least
    with np.errstate(invalid="ignore", divide="ignore"):
        strayed = np.nan_to_num((drawn - value) * b / np.sqrt(spread))
    error = np.sqrt(own + least) / total
    if symmetric:
        most = np.percentile(np.abs(strayed), LEVEL)
        return float(value - most * error), float(value + most * error)
    tail = _tail(n)
    fewest, most = np.percentile(strayed, [tail, 100 - tail])
    return float(value - most * error), float(value - fewest * error)


def _tail(clips: int) -> float:
    """The percentage of draws beyond each bound: 2.5, but less of few clips, of which draws vary too little.

    By Hesterberg, What Teachers Should Know About the Bootstrap, 2015, section 3.2.
    """
    z, freedom = NORMAL.inv_cdf(0.5 + LEVEL / 200), clips - 1
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return 100 * NORMAL.cdf(-t * sqrt(clips / freedom))


@lru_cache(32)
def _draws(n: int) -> Counts:
    """How often each of n clips is in each draw [DRAWS, n]."""
    return np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), DRAWS).astype(np.uint8)


def _drawn(columns: Numbers) -> Numbers:
    """The sum of each column [clips, columns] over the clips of each draw [columns, DRAWS]."""
    draws = _draws(len(columns))
    step = max(1, AT_ONCE // len(columns))
    blocks = [draws[first : first + step] @ columns for first in range(0, DRAWS, step)]
    return np.concatenate(blocks).T
