"""How alike two recordings of the same words sound: the loudness of each moment, whatever a codec adds in front."""

import numpy as np

MOMENT = 80
"""Samples, 5 ms."""
LIKE = 0.85
"""From here on two sounds are the same."""
MOST_PADDING = 40
"""Moments."""


def likeness(ours: np.ndarray, theirs: np.ndarray) -> float:
    """How alike the loudness over time of two sounds is, in the first half and in the last: 1 at most."""
    first, last = np.array_split(loudness(theirs), 2)
    return min(best_match(loudness(ours), first), best_match(loudness(ours)[::-1], last[::-1]))


def best_match(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The correlation of loudness at the best shift: codecs add a beginning, or cut one."""
    shifts = range(-MOST_PADDING, MOST_PADDING + 1)
    return max(correlation(ours[max(0, shift) :], theirs[max(0, -shift) :]) for shift in shifts)


def correlation(ours: np.ndarray, theirs: np.ndarray) -> float:
    n = min(len(ours), len(theirs))
    return float(np.corrcoef(ours[:n], theirs[:n])[0, 1])


def loudness(samples: np.ndarray) -> np.ndarray:
    """Of each moment and the three after it, so that it is smooth."""
    moments = np.square(samples[: len(samples) // MOMENT * MOMENT]).reshape(-1, MOMENT).mean(axis=1)
    return np.sqrt(np.convolve(moments, np.ones(4), "valid"))
