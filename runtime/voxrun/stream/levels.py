"""How long the sound has been quiet: while the model writes nothing, a long word may be under way, too."""

import math
from collections import deque

import numpy as np

from voxrun.arrays import FloatArray

STEP = 0.08
"""Seconds whose level is measured at a time: a position of the model."""
QUIET = 0.1
"""Of the level of the loudest speech: 20 dB less is quiet."""
DECAY = 0.995
"""Of the loudest level, with every step: it is forgotten by half in 11 s."""


class Levels:
    """Measures one stream; what has been asked for is forgotten."""

    def __init__(self, rate: int) -> None:
        """`rate`: samples a second."""
        self._size = round(STEP * rate)
        self._samples = np.zeros(0, np.float32)  # less than a step
        self._levels: deque[float] = deque()  # not asked for yet
        self._asked = 0  # steps
        self._loudest = self._since = 0.0

    def hear(self, samples: FloatArray) -> None:
        """Samples [n] of the stream."""
        samples = np.concatenate([self._samples, samples])
        whole = len(samples) // self._size * self._size
        steps, self._samples = samples[:whole].reshape(-1, self._size), samples[whole:]
        self._levels += np.sqrt(np.mean(steps * steps, axis=1, dtype=np.float64)).tolist()

    def quiet_since(self, at: float) -> float:
        """Seconds since which the sound has been quiet, up to `at` seconds, which must not decrease."""
        while self._levels and (self._asked + 1) * STEP <= at + 1e-6:
            level = self._levels.popleft()
            self._asked += 1
            self._loudest = max(self._loudest * DECAY, level)
            if level > QUIET * self._loudest or not math.isfinite(level):
                self._since = self._asked * STEP
        return self._since
