"""Recordings as an audio source, in every format that libsndfile reads."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import soundfile

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

from .source import Source, log, resampled
from .wav import UNKNOWN_SIZE

BLOCK_SECONDS = 5.0
"""About as much as a session encodes at once; up to this much is still transcribed after a stop."""
LEAST_LOSS = 0.1
"""Seconds; smaller differences are rounding of lossy formats."""


class FileSource(Source):
    """A recording that libsndfile reads: any rate, channels averaged."""

    live = False
    seconds: float

    def __init__(self, path: str | Path, rate: int) -> None:
        """Raises AudioError if the file is absent, empty, too short or not audio."""
        super().__init__(str(path), rate)
        self.path = Path(path)
        try:
            if self.path.is_fifo():  # it would be read twice
                raise AudioError(f"{path}: is a pipe; let standard input read it (--audio - < {path})")
            info = soundfile.info(os.fsencode(path))  # names need not be UTF-8
        except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:  # `.raw`: TypeError
            raise AudioError(f"{path}: cannot be read as audio ({self._reason(error)})") from error
        if info.frames == 0:
            raise AudioError(f"{path}: the recording is empty")
        self._native_rate, self._frames = int(info.samplerate), int(info.frames)
        self._report = info.extra_info
        self.seconds = self._frames / self._native_rate
        self._check_rate(self._native_rate)
        self._check_length(self.seconds)

    def _reason(self, error: Exception) -> str:
        """The system's reason if the file cannot be opened, else libsndfile's without the file name."""
        try:
            with self.path.open("rb"):
                return str(getattr(error, "error_string", error))
        except FileNotFoundError:
            return "no such file"
        except OSError as refusal:
            return str(refusal.strerror)

    def _blocks(self) -> Iterator[FloatArray]:
        """Raises AudioError on damaged or non-finite audio."""
        return resampled(self._native_blocks(), self._native_rate, self.rate)

    def _native_blocks(self) -> Iterator[FloatArray]:
        size = max(1, round(BLOCK_SECONDS * self._native_rate))
        frames = 0
        try:
            with soundfile.SoundFile(os.fsencode(self.path)) as file:
                # Not soundfile.blocks(), which repeats old samples after a damaged place.
                while not self.stopped and len(block := file.read(size, dtype="float32", always_2d=True)):
                    frames += len(block)
                    yield self._mono(block)
        except (soundfile.LibsndfileError, OSError) as error:
            raise AudioError(f"{self.path}: the recording is damaged ({error})") from error
        if not self.stopped:
            self._warn_of_loss(frames)

    def _warn_of_loss(self, frames: int) -> None:
        lost = max((self._frames - frames) / self._native_rate, cut_seconds(self._report, self.seconds))
        if lost >= LEAST_LOSS:
            log.warning("%s: the recording is cut short or damaged; %.1f s of it are lost", self.path, lost)
        elif "lacks an end-of-stream bit" in self._report:
            log.warning("%s: the recording is cut short; how much of it is lost cannot be known", self.path)


def cut_seconds(report: str, seconds: float) -> float:
    """Seconds that the header promises beyond the `seconds` that are there, from libsndfile's report.

    For a truncated file it has lines like `data : 640000 (should be 319978)`, the last one for the samples.
    """
    sizes = re.findall(r": (\d+) \(should be (\d+)\)", report)
    if not sizes:
        return 0.0
    promised, held = map(int, sizes[-1])
    return seconds * (promised / held - 1) if 0 < held < promised < UNKNOWN_SIZE else 0.0
