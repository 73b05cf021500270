"""Standard input and other pipes as audio sources, transcribed while they are open."""

import os
import queue
import select
import stat
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

from .choice import Choice, Raw
from .decode.bytestream import ByteStream
from .recorded import BLOCK_SECONDS, Recorded

if TYPE_CHECKING:
    from .decode.readers import Reader

NAME = "standard input"
PAUSE = 2.0
"""Seconds by which data may be late before it counts as a pause."""
LONGEST_BURST = 10.0
"""Seconds of audio that may arrive at once, with nothing after it for as long: streams come in segments."""
MOST_WAITING = 64
"""Blocks that may wait for a slow model; then the writer of the pipe waits."""
PIECE = 0.5
"""Seconds of a block at most, of those."""


class Pipe:
    """The bytes of a file descriptor as they arrive; a signal handler can end the waiting."""

    def __init__(self, descriptor: int, name: str = NAME) -> None:
        """Raises AudioError if it is closed."""
        try:
            os.read(descriptor, 0)  # also fails if the command put something in the place of a closed one
        except OSError as error:
            raise AudioError(f"{name} is closed") from error
        self._descriptor, self._name = descriptor, name
        self._woken, self._waker = os.pipe()
        self.arrived = time.monotonic()
        """When bytes came last."""

    def __del__(self) -> None:
        if hasattr(self, "_woken"):
            os.close(self._woken)
            os.close(self._waker)

    def close(self) -> None:
        """End all waiting: the stream counts as ended. May be called from a signal handler."""
        os.write(self._waker, b".")

    def read(self, n: int) -> bytes:
        """The available bytes, n at most; waits for the first; empty only at the end. Raises OSError."""
        while True:
            ready = self._wait(None)
            if self._woken in ready:
                return b""
            try:
                data = os.read(self._descriptor, n)
                self.arrived = time.monotonic()
                return data
            except BlockingIOError:  # another process read first from what both have open
                continue

    def is_ready(self, timeout: float) -> bool:
        """Whether there is data, or the end, within so many seconds."""
        return bool(self._wait(timeout))

    def _wait(self, timeout: float | None) -> list[int]:
        return select.select([self._descriptor, self._woken], [], [], timeout)[0]


class PipeSource(Recorded):
    """A pipe: any container that can be read without seeking, or raw 16-bit samples; of any length.

    A thread of its own decodes, so that a pause in the data is noticed while FFmpeg waits for more.
    """

    live = True

    def __init__(
        self, rate: int, descriptor: int = 0, choice: Choice | None = None, name: str = NAME
    ) -> None:
        """Raises AudioError if it is a terminal or closed."""
        super().__init__(name, rate, choice or Choice())
        self._pipe = Pipe(descriptor, name)
        if os.isatty(descriptor):
            raise AudioError(f"{name} is a terminal; pipe a recording, or s16le at {rate} Hz, into voxrun")
        self._due = 0.0  # when all audio so far would end if it were played

    def stop(self) -> None:
        """End the audio with what was read so far; may be called from a signal handler."""
        super().stop()
        self._pipe.close()

    def _open(self) -> "Reader":
        return self._reader_for(ByteStream(self._pipe, self.name), guess=Raw("s16le", self.rate))

    def _blocks(self) -> Iterator[FloatArray]:
        """Blocks as they arrive, an empty one for a pause. Raises AudioError."""
        decoder = Decoder(self)
        try:
            yield from self._played(decoder)
        finally:
            decoder.abandon()
            self._pipe.close()
        if decoder.failure is not None:
            if isinstance(decoder.failure, AudioError) and self.stopped:  # within the header
                return
            raise decoder.failure
        assert self._reader is not None
        self._end(self._reader)

    def _played(self, decoder: "Decoder") -> Iterator[FloatArray]:
        waits = True  # for a limited time: one pause is told once
        while True:
            try:
                blocks = decoder.next(self._patience() if waits else None, round(BLOCK_SECONDS * self.rate))
            except queue.Empty:
                if time.monotonic() - self._pipe.arrived < PAUSE:  # not enough for a packet yet
                    continue
                waits = False
                yield np.zeros(0, np.float32)
                continue
            if not blocks:
                return
            waits, block = True, np.concatenate(blocks)
            self._due = max(self._due, time.monotonic()) + len(block) / self.rate
            yield block

    def _patience(self) -> float:
        """Seconds to wait for data: after a burst, none is expected before it would have been played."""
        ahead = self._due - time.monotonic()
        return PAUSE + min(max(ahead, 0.0), LONGEST_BURST)

    def decoded(self) -> Iterator[FloatArray]:
        """Blocks at `rate` as they come, on the decoder's thread. Raises AudioError."""
        self._reader = self._open()
        yield from self._sound(self._reader, 0)


class Decoder:
    """A thread that decodes a pipe ahead of the model, by a few blocks."""

    def __init__(self, source: PipeSource) -> None:
        self.failure: BaseException | None = None
        """What ended the decoding, once `next` has returned nothing."""
        self._queue: queue.Queue[FloatArray | None] = queue.Queue(MOST_WAITING)  # None: the end
        self._abandoned = False
        threading.Thread(target=self._run, args=(source,), name="voxrun-pipe", daemon=True).start()

    def next(self, timeout: float | None, most: int) -> list[FloatArray]:
        """The blocks that wait, of `most` samples or a block more; none at the end. Raises queue.Empty."""
        block = self._queue.get(timeout=timeout)
        blocks: list[FloatArray] = []
        length = 0
        while block is not None:
            blocks.append(block)
            length += len(block)
            if length >= most or self._queue.empty():
                return blocks
            block = self._queue.get()
        if blocks:
            self._queue.put(None)
        return blocks

    def abandon(self) -> None:
        """No more blocks are wanted."""
        self._abandoned = True

    def _run(self, source: PipeSource) -> None:
        try:
            for block in source.decoded():
                if len(block):
                    self._put(block)
                if self._abandoned:
                    return
        except BaseException as error:
            self.failure = error
        finally:
            self._put(None)

    def _put(self, block: FloatArray | None) -> None:
        while not self._abandoned:
            try:
                return self._queue.put(block, timeout=0.2)
            except queue.Full:
                continue


def is_pipe(path: str) -> bool:
    """Whether a path names a pipe, such as the shell's <(...)."""
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)  # noqa: PTH116
    except (OSError, ValueError):
        return False


def pipe_at(path: str, choice: Choice, rate: int) -> PipeSource:
    """The source for a named pipe; waits for its writer. Raises AudioError."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read as audio ({error.strerror})") from error
    return PipeSource(rate, descriptor, choice, path)
