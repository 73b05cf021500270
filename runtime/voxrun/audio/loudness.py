"""Whether a recording can be heard at all: silent, very quiet, or channels that cancel each other."""

import numpy as np

from voxrun.arrays import FloatArray

QUIET = 10 ** (-50 / 20)
"""Peak below which a recording is told to be very quiet: speech has peaks of -30 dB and more."""
CANCELLED = 0.05
"""The average's power below which channels cancel, as a part of what the loudest one alone would leave."""


class Loudness:
    """The levels of a recording, block by block."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._channels, self._average = np.zeros(1), 0.0  # sums of squares

    def add(self, samples: FloatArray, mono: FloatArray) -> None:
        """Samples [n, channels], and what is heard of them [n]."""
        if not len(samples):
            return
        self._peak = max(self._peak, float(np.abs(samples).max()))
        if samples.shape[1] > 1:
            powers = np.square(samples, dtype=np.float64).sum(axis=0)
            if len(powers) == len(self._channels):
                self._channels = self._channels + powers
            else:
                self._channels, self._average = powers, 0.0
            self._average += float(np.square(mono, dtype=np.float64).sum())

    def sentence(self, one_channel: bool) -> str | None:
        """What is wrong, for the user; `one_channel`: only one is heard."""
        if self._peak == 0:
            return "the recording holds nothing but silence"
        if self._peak < QUIET:
            return f"the recording is very quiet (its peak is {20 * np.log10(self._peak):.0f} dB)"
        loudest = float(self._channels.max()) / len(self._channels) ** 2
        if not one_channel and len(self._channels) > 1 and self._average < CANCELLED * loudest:
            best = int(self._channels.argmax()) + 1
            return f"the channels cancel each other when they are averaged; --channel {best} hears one"
        return None
