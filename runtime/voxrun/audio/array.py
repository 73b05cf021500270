"""Samples that a program already has, as audio sources: one NumPy array, or an iterable of them."""

from collections.abc import Iterable, Iterator
from typing import Any

from voxrun.arrays import Array, FloatArray, as_floats
from voxrun.errors import AudioError

from .source import Source, resampled

BLOCK_SECONDS = 5.0
MOST_CHANNELS = 64
"""More is taken for an array of the other orientation."""


class BlockSource(Source):
    """Blocks of samples [n] or [n, channels] as they come; an empty one is a pause.

    Integers or floats of any width, see `voxrun.arrays.as_floats`.
    """

    live = True

    def __init__(
        self,
        blocks: Iterable[Any],
        native_rate: float | None,
        rate: int,
        *,
        channel: int | None = None,
        name: str = "blocks",
    ) -> None:
        """`channel`: which to hear, counted from 1; None: their average. Raises AudioError for a bad rate."""
        super().__init__(name, rate)
        self._given, self._channel = blocks, channel
        self._native_rate = _whole(native_rate, name)
        self._check_rate(self._native_rate)

    def _blocks(self) -> Iterator[FloatArray]:
        """Raises AudioError for a block that is no array of samples."""
        return resampled(self._native_blocks(), self._native_rate, self.rate)

    def _native_blocks(self) -> Iterator[FloatArray]:
        for block in self._given:
            if self.stopped:
                return
            yield self._one_channel(as_floats(block))

    def _one_channel(self, block: FloatArray) -> FloatArray:
        """Samples [n] or [n, channels] as [n]."""
        if block.ndim == 1 and self._channel in (None, 1):
            return block
        channels = block.shape[1] if block.ndim == 2 else 1
        if block.ndim not in (1, 2) or not 0 < channels <= MOST_CHANNELS:
            raise AudioError(f"{self.name}: samples must be [n] or [n, channels], not {list(block.shape)}")
        if self._channel is None:
            return self._mono(block)
        if not 1 <= self._channel <= channels:
            raise AudioError(f"{self.name}: there is no channel {self._channel}, only {channels}")
        return block[:, self._channel - 1]


class ArraySource(BlockSource):
    """One array of samples [n] or [n, channels]."""

    live = False
    seconds: float

    def __init__(
        self, samples: Array, native_rate: float | None, rate: int, *, channel: int | None = None
    ) -> None:
        """`channel` is the one to hear, counted from 1. Raises AudioError for a bad rate or shape."""
        super().__init__([], native_rate, rate, channel=channel, name="array")
        self._samples_given = samples
        self._one_channel(as_floats(samples[:0] if samples.ndim else samples))
        self.seconds = len(samples) / self._native_rate
        self._check_length(self.seconds)

    def _native_blocks(self) -> Iterator[FloatArray]:
        size = max(1, round(BLOCK_SECONDS * self._native_rate))
        for first in range(0, len(self._samples_given), size):
            if self.stopped:
                return
            yield self._one_channel(as_floats(self._samples_given[first : first + size]))


def _whole(rate: float | None, name: str) -> int:
    """A rate as a whole number. Raises AudioError."""
    if rate is None:
        raise AudioError(f"{name}: samples do not say their rate; give it in Hz (rate=16000)")
    try:
        whole = int(rate)
    except (TypeError, ValueError, OverflowError):
        raise AudioError(f"{name}: a rate is a number of samples a second, not {rate!r}") from None
    if whole != rate:
        raise AudioError(f"{name}: {rate} samples a second is not a supported rate")
    return whole
