"""Standard input and other pipes as audio sources, transcribed while they are open."""

import os
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
from .recorded import Recorded
from .source import log

if TYPE_CHECKING:
    from .decode.readers import Reader

NAME = "standard input"
PAUSE = 2.0
"""Seconds by which data may be late before it counts as a pause."""
JOIN_SECONDS = 1.0
"""Seconds to wait for the decoding thread at the end; it waits for nothing but the pipe and the reader."""
LONGEST_BURST = 10.0
"""Seconds of audio that may arrive at once, with nothing after it for as long: streams come in segments."""
MOST_WAITING = 5.0
"""Seconds of sound that may wait for a slow model; then the writer of the pipe waits."""


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
        self.arrived, self.received = time.monotonic(), 0
        """When bytes came last, and how many in all."""

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
                self.arrived, self.received = time.monotonic(), self.received + len(data)
                return data
            except BlockingIOError:  # another process read first from what both have open
                continue

    def is_ready(self, timeout: float) -> bool:
        """Whether there is data, or the end, within so many seconds."""
        return bool(self._wait(timeout))

    def _wait(self, timeout: float | None) -> list[int]:
        poll = select.poll()  # select() knows no descriptors from 1024 on
        poll.register(self._descriptor, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        return [descriptor for descriptor, _ in ready]


class PipeSource(Recorded):
    """A pipe: any container that can be read without seeking, or raw 16-bit samples; of any length.

    A thread of its own decodes, so that a pause in the data is noticed while FFmpeg waits for more.
    """

    live = True

    def __init__(
        self,
        rate: int,
        descriptor: int = 0,
        choice: Choice | None = None,
        name: str = NAME,
        *,
        owned: bool = False,
    ) -> None:
        """`owned`: the descriptor is closed at the end. Raises AudioError if it is a terminal or closed."""
        super().__init__(name, rate, choice or Choice())
        self._pipe = Pipe(descriptor, name)
        if os.isatty(descriptor):
            raise AudioError(f"{name} is a terminal; pipe a recording, or s16le at {rate} Hz, into voxrun")
        self._owned = descriptor if owned else None
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
            self._pipe.close()
            if decoder.abandon() and self._owned is not None:
                os.close(self._owned)
                self._owned = None
        if self.stopped and not self.heard and self._pipe.received:
            log.warning("%s: stopped before any of its sound could be heard", self.name)
        if decoder.failure is not None and not (self.stopped and isinstance(decoder.failure, AudioError)):
            raise decoder.failure
        if self._reader is not None:  # else it was stopped within the header
            self._end(self._reader)

    def _played(self, decoder: "Decoder") -> Iterator[FloatArray]:
        waits = True  # for a limited time: one pause is told once
        while True:
            blocks = decoder.next(self._patience() if waits else None)
            if blocks is None:
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
    """A thread that decodes a pipe ahead of the model, by a few seconds."""

    def __init__(self, source: PipeSource) -> None:
        self.failure: BaseException | None = None
        """What ended the decoding, once `next` has returned nothing."""
        self._blocks: list[FloatArray] = []
        self._waiting, self._most = 0, round(MOST_WAITING * source.rate)  # samples
        self._ended = self._abandoned = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(source,), name="voxrun-pipe", daemon=True)
        self._thread.start()

    def next(self, timeout: float | None) -> list[FloatArray] | None:
        """The blocks that wait; none at the end. None if there are none within so many seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._blocks or self._ended, timeout):
                return None
            blocks, self._blocks, self._waiting = self._blocks, [], 0
            self._changed.notify_all()
            return blocks

    def abandon(self) -> bool:
        """No more blocks are wanted: the thread ends soon, if the pipe is closed. Returns whether it has."""
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
        self._thread.join(JOIN_SECONDS)
        return not self._thread.is_alive()

    def _run(self, source: PipeSource) -> None:
        try:
            for block in source.decoded():
                if not self._put(block):
                    break
        except BaseException as error:
            self.failure = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, block: FloatArray) -> bool:
        """Add a block, when there is room for it; whether more are wanted."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting < self._most or self._abandoned)
            if len(block):
                self._blocks.append(block)
                self._waiting += len(block)
                self._changed.notify_all()
            return not self._abandoned


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
    return PipeSource(rate, descriptor, choice, path, owned=True)
