"""A recording as an audio source: chosen channels averaged, resampled, in blocks; what is missing is told."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

from .choice import Choice, Raw
from .decode.bytestream import ByteStream, Readable
from .loudness import Loudness
from .source import Source, log, resampled

if TYPE_CHECKING:  # short recordings need no other reader than theirs
    from .decode.readers import Reader

BLOCK_SECONDS = 5.0
"""About as much as a session encodes at once; up to this much is still transcribed after a stop."""


class Recorded(Source):
    """The sound that a reader gives; a new source implements `_open`."""

    live = False

    def __init__(self, name: str, rate: int, choice: Choice) -> None:
        super().__init__(name, rate)
        self._choice, self._loudness = choice, Loudness()
        self._reader: Reader | None = None
        self._seconds = 0.0  # of sound, before resampling

    @abstractmethod
    def _open(self) -> "Reader":
        """A reader at the beginning of the sound. Raises AudioError."""

    def _reader_for(self, stream: ByteStream, guess: Raw | None = None) -> "Reader":
        from .decode.readers import reader_for

        return reader_for(stream, self._choice.track, self._choice.raw, guess)

    def _blocks(self) -> Iterator[FloatArray]:
        """Blocks of 5 s at `rate`. Raises AudioError for what cannot be read, and for what is too short."""
        reader = self._reader or self._open()
        self._reader = None  # a reader is read once
        yield from self._sound(reader, BLOCK_SECONDS)
        self._end(reader)

    def _sound(self, reader: "Reader", block_seconds: float) -> Iterator[FloatArray]:
        """Blocks [n] at `rate`, of so many seconds or, at 0, as they come."""
        for native, parts in groupby(self._parts(reader), key=lambda part: part[1]):
            self._check_rate(native)
            yield from resampled(joined(parts, round(block_seconds * native)), native, self.rate)

    def _parts(self, reader: "Reader") -> Iterator[tuple[FloatArray, int]]:
        for samples, native in reader:
            if self.stopped:
                break
            mono = self._mono(samples)
            self._loudness.add(samples, mono)
            self._seconds += len(mono) / native if native else 0.0
            yield mono, native

    def _mono(self, samples: FloatArray) -> FloatArray:
        """Samples [n, channels] -> the chosen channel, or the average [n]. Raises AudioError."""
        channels, wanted = samples.shape[1], self._choice.channel
        if wanted is not None and wanted > channels:
            held = "one channel" if channels == 1 else f"{channels} channels"
            raise AudioError(f"{self.name}: there is no channel {wanted}; the recording has {held}")
        with np.errstate(all="ignore"):  # reported below instead
            chosen = samples if wanted is None else samples[:, wanted - 1 : wanted]
            mono: FloatArray = chosen.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            raise AudioError(f"{self.name}: the recording holds NaN or infinite samples")
        return mono

    def _end(self, reader: "Reader") -> None:
        """Tell what is missing. Raises AudioError if there is next to nothing."""
        if self.stopped:
            return
        if not self.heard and reader.losses.told:
            raise AudioError(f"{self.name}: cannot be read as audio (none of its sound can be decoded)")
        if not self.heard:
            raise AudioError(f"{self.name}: the recording is empty")
        self._check_length(self._seconds)
        self.lost, self.whole = reader.losses.seconds, not reader.losses.told
        if not self.whole:
            log.warning("%s: %s", self.name, reader.losses.sentence())
        if sentence := self._loudness.sentence(self._choice.channel is not None):
            log.warning("%s: %s", self.name, sentence)


class StreamSource(Recorded):
    """A recording in a Python object from which bytes can be read once."""

    def __init__(
        self, source: Readable, name: str, rate: int, choice: Choice | None = None, size: int | None = None
    ) -> None:
        """`size`: bytes in all, if known. Raises AudioError if it is no audio."""
        super().__init__(name, rate, choice or Choice())
        self._stream = ByteStream(source, name, size)
        self._reader = self._open()
        self.seconds = self._reader.seconds

    def _open(self) -> "Reader":
        return self._reader_for(self._stream)


def joined(parts: Iterable[tuple[FloatArray, int]], size: int) -> Iterator[FloatArray]:
    """Blocks of `size` samples, but for the last one; of size 0: as they come."""
    waiting: list[FloatArray] = []
    length = 0
    for part, _ in parts:
        waiting.append(part)
        length += len(part)
        while length >= size and waiting:
            block = waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
            cut = size or length
            yield block[:cut]
            length -= cut
            waiting = [block[cut:]] if length else []
    if waiting:
        yield np.concatenate(waiting)
