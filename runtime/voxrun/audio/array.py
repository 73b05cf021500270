"""Samples that a Python program already has: one NumPy array, or arrays as they come."""

from collections.abc import Iterable, Iterator
from numbers import Real
from typing import Any

from voxrun.arrays import Array, FloatArray, as_floats
from voxrun.errors import AudioError
from voxrun.messages import shown

from .choice import Choice
from .decode.losses import Losses
from .decode.raw import MOST_CHANNELS
from .decode.readers import Reader, Sound
from .recorded import BLOCK_SECONDS, Recorded


class Blocks:
    """Reads blocks of samples [n] or [n, channels], integers or floats of any width, at one rate."""

    def __init__(self, blocks: Iterable[Any], rate: int, name: str, seconds: float | None = None) -> None:
        self._blocks, self._rate, self._name = blocks, rate, name
        self.seconds, self.losses = seconds, Losses()

    def __iter__(self) -> Sound:
        """(samples [n, channels], samples a second). Raises AudioError for what is no array of samples."""
        for block in self._blocks:
            yield self._in_columns(as_floats(block)), self._rate

    def _in_columns(self, samples: FloatArray) -> FloatArray:
        columns = samples[:, None] if samples.ndim == 1 else samples
        if columns.ndim != 2 or not 1 <= columns.shape[1] <= MOST_CHANNELS:
            raise AudioError(
                f"{self._name}: samples must be [n] or [n, channels] with up to {MOST_CHANNELS} channels,"
                f" not {list(samples.shape)}"
            )
        return columns


class ArraySource(Recorded):
    """One array of samples [n] or [n, channels], a recording."""

    def __init__(self, samples: Array, native: float | None, rate: int, choice: Choice | None = None) -> None:
        """`native`: samples a second. Raises AudioError for an impossible rate."""
        super().__init__("the array", rate, _of_samples(choice))
        self._array, self._native = samples, _whole(native)
        self._check_rate(self._native)
        self.seconds = len(samples) / self._native if samples.ndim else 0.0

    def _open(self) -> Reader:
        return Blocks(self._pieces(), self._native, self.name, self.seconds)

    def _pieces(self) -> Iterator[Array]:
        size = round(BLOCK_SECONDS * self._native)
        if self._array.ndim == 0:
            yield self._array  # refused by its shape
        else:
            yield from (self._array[first : first + size] for first in range(0, len(self._array), size))


class BlockSource(Recorded):
    """Arrays of samples [n] or [n, channels] as they come; an empty one is a pause."""

    live = True

    def __init__(
        self, blocks: Iterable[Any], native: float | None, rate: int, choice: Choice | None = None
    ) -> None:
        """`native`: samples a second. Raises AudioError for an impossible rate."""
        super().__init__("the stream", rate, _of_samples(choice))
        self._given, self._native = blocks, _whole(native)
        self._check_rate(self._native)

    def _open(self) -> Reader:
        return Blocks(self._given, self._native, self.name)

    def _blocks(self) -> Iterator[FloatArray]:
        """Blocks at `rate`. Raises AudioError for what is no array of samples."""
        reader = self._open()
        yield from self._sound(reader, 0)
        self._end(reader)


def _of_samples(choice: Choice | None) -> Choice:
    """Raises AudioError if the choice is one that only encoded recordings offer."""
    if choice and (choice.track or choice.raw):
        raise AudioError("a track or a raw codec is chosen from encoded recordings; arrays have neither")
    return choice or Choice()


def _whole(rate: float | None) -> int:
    """A rate as a whole number. Raises AudioError."""
    if rate is None:
        raise AudioError("arrays do not say their rate: give it too, in samples a second (rate=16000)")
    if not isinstance(rate, Real) or rate != rate // 1:
        raise AudioError(f"{shown(rate)} is no rate: give a whole number of samples a second")
    return int(rate)
