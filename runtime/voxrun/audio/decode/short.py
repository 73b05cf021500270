"""Short FLAC recordings, by libsndfile: FFmpeg's libraries take 30 ms and 17 MB to load.

Only what the checksum in the header proves to be whole: a length that is unknown or wrong, damage and several
recordings go to FFmpeg.
"""

import io
from collections.abc import Iterator
from hashlib import md5

import numpy as np

from voxrun.arrays import FloatArray

from .bytestream import ByteStream
from .losses import Losses

MAGIC = b"fLaC"
CHECKSUM = slice(26, 42)
"""Where the first block has the MD5 of all samples (RFC 9639, section 8.2)."""
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


def short_flac(stream: ByteStream) -> Whole | None:
    """The sound of a short FLAC file, if it is whole; None, with nothing consumed, if FFmpeg must read it."""
    if stream.size is None or stream.size > MOST_BYTES:
        return None
    if stream.peek(len(MAGIC)) != MAGIC:
        return None
    data = stream.peek(MOST_BYTES)
    return None if MAGIC in data[len(MAGIC) :] else _decoded(data)


def _decoded(data: bytes) -> Whole | None:
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if file.subtype != "PCM_16" or not 0 < file.frames * file.channels <= MOST_SAMPLES:
                return None
            samples, rate = file.read(file.frames, dtype="<i2", always_2d=True), int(file.samplerate)
    except (soundfile.LibsndfileError, ValueError, TypeError):
        return None
    if md5(samples.tobytes(), usedforsecurity=False).digest() != data[CHECKSUM]:
        return None
    return Whole(samples / np.float32(2**15), rate)
