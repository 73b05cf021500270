"""Where sound comes from: each source is an iterator of blocks of mono float32 samples at one rate."""

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr

from .errors import AudioError, DeviceError
from .mel import FloatArray

BLOCK_SECONDS = 10.0


class FileSource:
    """A recording that libsndfile reads: any rate, channels averaged, resampled with soxr HQ (step 1)."""

    def __init__(self, path: str | Path, rate: int) -> None:
        """Raises AudioError if the file is absent, empty or not audio."""
        self.path, self.rate = Path(path), rate
        try:
            info = soundfile.info(str(path))
        except (soundfile.LibsndfileError, OSError, TypeError) as error:  # TypeError: `.raw` has no header
            reason = "no such file" if not self.path.exists() else str(error)
            raise AudioError(f"{path}: cannot be read as audio ({reason})") from error
        if info.frames == 0:
            raise AudioError(f"{path}: the recording is empty")
        self._native_rate, self._frames = int(info.samplerate), int(info.frames)

    @property
    def seconds(self) -> float:
        """Length of the recording."""
        return self._frames / self._native_rate

    def __iter__(self) -> Iterator[FloatArray]:
        """Blocks of about BLOCK_SECONDS. Raises AudioError on damaged or non-finite audio."""
        resampler = soxr.ResampleStream(self._native_rate, self.rate, 1, dtype="float32")
        for block in self._blocks():
            yield resampler.resample_chunk(block) if self._resamples else block
        if self._resamples:
            yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)

    @property
    def _resamples(self) -> bool:
        return self._native_rate != self.rate

    def _blocks(self) -> Iterator[FloatArray]:
        size = max(1, round(BLOCK_SECONDS * self._native_rate))
        try:
            for block in soundfile.blocks(str(self.path), blocksize=size, dtype="float32", always_2d=True):
                with np.errstate(all="ignore"):  # what is not finite is reported here, by us
                    mono = block.mean(axis=1)
                if not np.isfinite(mono).all():
                    raise AudioError(f"{self.path}: the recording holds NaN or infinite samples")
                yield mono
        except soundfile.LibsndfileError as error:
            raise AudioError(f"{self.path}: the recording is damaged ({error})") from error


class Microphone:
    """The default input device, until it is stopped."""

    def __init__(self, rate: int, block: int) -> None:
        self.rate, self._block = rate, block
        self._blocks: queue.SimpleQueue[FloatArray | None] = queue.SimpleQueue()  # None: the end

    def __iter__(self) -> Iterator[FloatArray]:
        """Blocks of `block` samples, all that were recorded before `stop`. Raises DeviceError."""
        with self._stream():
            while (block := self._blocks.get()) is not None:
                yield block

    def stop(self) -> None:
        """Record no more; may be called from a signal handler."""
        self._blocks.put(None)

    @contextmanager
    def _stream(self) -> Iterator[None]:
        sounddevice = sounddevice_library()
        try:
            stream = sounddevice.InputStream(
                samplerate=self.rate,
                blocksize=self._block,
                channels=1,
                dtype="float32",
                callback=self._take,
            )
            stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:
            raise DeviceError(f"no microphone can be opened ({error}); try --audio FILE") from error
        try:
            yield
        finally:
            stream.close()

    def _take(self, data: FloatArray, frames: int, time: Any, status: Any) -> None:
        self._blocks.put(data[:, 0].copy())


def sounddevice_library() -> Any:
    """Imported only for the microphone: it fails where PortAudio is missing. Raises DeviceError."""
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            "PortAudio is not installed (Debian: apt install libportaudio2); try --audio FILE"
        ) from error
    return sounddevice
