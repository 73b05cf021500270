"""Short whole FLAC recordings, by libsndfile: FFmpeg's libraries take 30 ms and 17 MB to load.

Whatever is not whole and plain goes to FFmpeg: a length that is unknown or wrong, damage, several recordings.
"""

import io
from collections.abc import Iterator

from voxrun.arrays import FloatArray

from .bytestream import ByteStream
from .choice import Choice
from .losses import Losses

MAGIC = b"fLaC"
MOST_BYTES, MOST_SAMPLES = 1 << 20, 1 << 23


class Whole:
    """A recording that is in memory."""

    def __init__(self, samples: FloatArray, rate: int) -> None:
        """Samples [n, channels]."""
        self._samples, self._rate, self.losses = samples, rate, Losses()
        self.seconds: float | None = len(samples) / rate

    def __iter__(self) -> Iterator[tuple[FloatArray, int]]:
        """(samples [n, channels], samples a second) in pieces of a second."""
        for start in range(0, len(self._samples), self._rate):
            yield self._samples[start : start + self._rate], self._rate


def short_flac(stream: ByteStream, choice: Choice) -> Whole | None:
    """The sound of a short FLAC file, if it is whole; None, with nothing consumed, if FFmpeg must read it."""
    if choice.raw or choice.track not in (None, 1) or stream.size is None or stream.size > MOST_BYTES:
        return None
    if stream.peek(len(MAGIC)) != MAGIC:
        return None
    data = stream.peek(MOST_BYTES)
    return None if MAGIC in data[len(MAGIC) :] else _decoded(data)


def _decoded(data: bytes) -> Whole | None:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            promised, rate = file.frames, int(file.samplerate)
            if not 0 < promised <= MOST_SAMPLES:
                return None
            samples = file.read(promised, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, ValueError, MemoryError):
        return None
    return Whole(samples, rate) if len(samples) == promised else None
