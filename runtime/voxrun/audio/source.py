"""The base of all audio sources: blocks of mono float32 samples, until stopped.

Problems that do not end the audio (lost seconds, a slow model) are warnings in the log `voxrun`.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

log = logging.getLogger("voxrun")
RATES = range(1000, 1_000_001)
"""Sampling rates that are accepted, in Hz."""
SHORTEST = 0.08
"""Seconds: one position of the model."""


class Source(ABC):
    """Iterates over blocks [n] of mono float32 samples at `rate`; a new source implements `_blocks`."""

    live: bool
    """Whether it has no end of its own."""
    seconds: float | None = None
    """Length, if it is known in advance."""
    lost = 0.0
    """Seconds that are known to be missing, once the sound has ended."""
    whole = True
    """Whether nothing is missing, as far as can be known, once the sound has ended."""
    level = 0.0
    """Root mean square of the last block of a microphone, 1.0 at full scale."""

    def __init__(self, name: str, rate: int) -> None:
        self.name, self.rate = name, rate
        self.stopped = False
        self._samples = 0

    @property
    def heard(self) -> float:
        """Seconds returned so far."""
        return self._samples / self.rate

    def __iter__(self) -> Iterator[FloatArray]:
        """Blocks until the end, or `stop`; an empty one means a pause in the data.

        Raises AudioError, DeviceError.
        """
        self._samples = 0
        for block in self._blocks():
            self._samples += len(block)
            yield block

    def stop(self) -> None:
        """End soon, as if the audio ended there; may be called from a signal handler."""
        self.stopped = True

    @abstractmethod
    def _blocks(self) -> Iterator[FloatArray]:
        """Blocks at `rate`; ends by itself after `stop`."""

    def _check_rate(self, rate: int) -> None:
        if rate not in RATES:
            raise AudioError(f"{self.name}: {rate} samples a second is not a supported rate")

    def _check_length(self, seconds: float) -> None:
        if seconds < SHORTEST - 1e-9 and not self.stopped:
            raise AudioError(f"{self.name}: {seconds:.3f} s are too short to transcribe")


class Resampler:
    """Pieces of a stream at another rate: soxr HQ (contract step 1). How it is divided changes no sample."""

    def __init__(self, native_rate: int, rate: int) -> None:
        self._stream = (
            None if native_rate == rate else soxr.ResampleStream(native_rate, rate, 1, dtype="float32")
        )

    def feed(self, samples: FloatArray) -> FloatArray:
        """The samples [n] that are ready after these [m]; some stay in the filter."""
        return samples if self._stream is None else self._stream.resample_chunk(samples)

    def finish(self) -> FloatArray:
        """The samples [n] that are left in the filter."""
        nothing = np.zeros(0, np.float32)
        return nothing if self._stream is None else self._stream.resample_chunk(nothing, last=True)


def resampled(blocks: Iterable[FloatArray], native_rate: int, rate: int) -> Iterator[FloatArray]:
    """Blocks at another rate. Empty blocks, pauses, are kept."""
    resampler = Resampler(native_rate, rate)
    for block in blocks:
        out = resampler.feed(block)
        if len(out) or not len(block):  # an output still in the filter is not a pause
            yield out
    if len(out := resampler.finish()):
        yield out
