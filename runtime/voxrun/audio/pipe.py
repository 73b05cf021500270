"""Standard input as an audio source: raw 16-bit samples, or WAV, transcribed while the pipe is open."""

import math
import os
import select
import time
from collections.abc import Iterator

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

from .file import BLOCK_SECONDS, LEAST_LOSS
from .source import Source, log, resampled
from .wav import Layout, is_wav, read_header

NAME = "standard input"
MOST_BYTES = 1 << 22
"""Bytes read at once at most, for any header."""
PAUSE = 2.0
"""Seconds by which data may be late before it counts as a pause."""
LONGEST_BURST = 10.0
"""Seconds of audio that may arrive at once, with nothing after it for as long: streams come in segments."""
OTHER_FORMATS = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"FORM": "AIFF",
    b"caff": "CAF",
    b".snd": "AU",
}
"""First bytes of formats that would be noise if they were read as raw samples."""


class Pipe:
    """The bytes of a file descriptor as they arrive; a signal handler can end the waiting."""

    def __init__(self, descriptor: int) -> None:
        """Raises AudioError if it is closed."""
        try:
            os.read(descriptor, 0)  # also fails if the command put something in the place of a closed one
        except OSError as error:
            raise AudioError(f"{NAME} is closed") from error
        self._descriptor = descriptor
        self._buffer = b""
        self._woken, self._waker = os.pipe()

    def __del__(self) -> None:
        if hasattr(self, "_woken"):
            os.close(self._woken)
            os.close(self._waker)

    def close(self) -> None:
        """End all waiting: the stream counts as ended. May be called from a signal handler."""
        os.write(self._waker, b".")

    def peek(self, n: int) -> bytes:
        """The next n bytes, without consuming them; fewer only at the end."""
        while len(self._buffer) < n and (data := self._read(n - len(self._buffer))):
            self._buffer += data
        return self._buffer[:n]

    def exactly(self, n: int) -> bytes:
        """The next n bytes; fewer only at the end."""
        data = self.peek(n)
        self._buffer = self._buffer[n:]
        return data

    def some(self, n: int) -> bytes:
        """The available bytes, n at most; waits for the first, and is empty only at the end."""
        data = self.exactly(min(n, len(self._buffer))) or self._read(n)
        while len(data) < n and (more := self._read(n - len(data), timeout=0)):
            data += more
        return data

    def is_ready(self, timeout: float) -> bool:
        """Whether there is data, or the end, within so many seconds."""
        return bool(self._buffer) or bool(self._wait(timeout))

    def _wait(self, timeout: float | None) -> list[int]:
        return select.select([self._descriptor, self._woken], [], [], timeout)[0]

    def _read(self, n: int, timeout: float | None = None) -> bytes:
        ready = self._wait(timeout)
        try:
            return os.read(self._descriptor, n) if ready == [self._descriptor] else b""
        except OSError as error:
            raise AudioError(f"{NAME} cannot be read ({error.strerror})") from error


class PipeSource(Source):
    """Standard input: s16le mono at the model's rate, or WAV of any rate and layout, of any length."""

    live = True

    def __init__(self, rate: int, descriptor: int = 0) -> None:
        """Raises AudioError if standard input is a terminal or closed."""
        super().__init__(NAME, rate)
        if os.isatty(descriptor):
            raise AudioError(f"{NAME} is a terminal; pipe WAV, or s16le at {rate} Hz, into voxrun")
        self._pipe = Pipe(descriptor)
        self._due = 0.0  # when all audio so far would end if it were played

    def stop(self) -> None:
        """End the audio with what was read so far; may be called from a signal handler."""
        super().stop()
        self._pipe.close()

    def _blocks(self) -> Iterator[FloatArray]:
        """Blocks as they arrive, an empty one for a pause.

        Raises AudioError for another format than WAV or raw, and if the audio is too short.
        """
        try:
            layout = self._layout()
        except AudioError:
            if self.stopped:  # within the header
                return
            raise
        self._check_rate(layout.rate)
        yield from resampled(self._native_blocks(layout), layout.rate, self.rate)
        self._check_length(self.heard)

    def _layout(self) -> Layout:
        head = self._pipe.peek(12)
        if is_wav(head):
            return read_header(self._pipe.exactly, NAME)
        for magic, title in OTHER_FORMATS.items():
            if head.startswith(magic):
                raise AudioError(f"{NAME}: {title} cannot be read from a pipe; WAV can")
        return Layout(self.rate, channels=1)

    def _native_blocks(self, layout: Layout) -> Iterator[FloatArray]:
        data, left = b"", layout.size
        most = min(round(BLOCK_SECONDS * layout.bytes_per_second), MOST_BYTES // layout.frame * layout.frame)
        while left > 0:
            if not self._pipe.is_ready(self._patience()):
                yield np.zeros(0, np.float32)  # once: then it waits without a limit
            if not (new := self._pipe.some(int(min(left, most)))):
                break
            data, left = data + new, left - len(new)
            self._due = max(self._due, time.monotonic()) + len(new) / layout.bytes_per_second
            whole = len(data) - len(data) % layout.frame
            if whole:
                yield self._mono(layout.decode(data[:whole]))
                data = data[whole:]
        self._warn_of_loss(layout, left)

    def _patience(self) -> float:
        """Seconds to wait for data: after a burst, none is expected before it would have been played."""
        ahead = self._due - time.monotonic()
        return PAUSE + min(max(ahead, 0.0), LONGEST_BURST)

    def _warn_of_loss(self, layout: Layout, left: float) -> None:
        lost = 0.0 if left == math.inf else left / layout.bytes_per_second
        if lost >= LEAST_LOSS and not self.stopped:
            log.warning("%s ended %.1f s before its header says", NAME, lost)
