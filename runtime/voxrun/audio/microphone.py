"""The microphone as an audio source: overruns and a missing device are survived, and the loss is logged."""

import queue
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.errors import DeviceError

from .source import Source, log, resampled

BLOCK_SECONDS = 0.08
MOST_SECONDS = 600.0
"""Audio that may wait for a model slower than real time (38 MB); more is dropped, with a warning."""
BEHIND = 5.0
"""Seconds of waiting audio from which there is a warning."""
PATIENCE = 2.0
"""Seconds without a sample after which a device counts as disconnected."""
REOPENING = 30.0
"""Seconds in which a disconnected device may return."""

INSTEAD = "; or name a recording: voxrun FILE"
"""What to do without a microphone."""


class Milestones:
    """Whether a growing figure is worth another warning: when it has doubled, so that warnings stay few."""

    def __init__(self, first: float) -> None:
        self._next = first

    def passed(self, figure: float) -> bool:
        """Whether `figure` has reached the next milestone."""
        if figure < self._next:
            return False
        self._next = 2 * figure
        return True


class Loss:
    """Seconds lost by one cause; the device's thread counts them, the reader's thread logs them."""

    def __init__(self, cause: str) -> None:
        self._cause = cause
        self._seconds, self._times, self._logged = 0.0, 0, 0
        self._milestones = Milestones(1)

    def add(self, seconds: float) -> None:
        """Count one loss; 0 if its length is unknown."""
        self._seconds += max(seconds, 0.0)
        self._times += 1

    def log(self, final: bool = False) -> None:
        """Log the total if it has grown enough, or if it has grown at all and this is the `final` time."""
        times = self._times
        if self._milestones.passed(times) or (final and times > self._logged):
            lost = f"{self._seconds:.1f} s lost so far" if self._seconds else "how much is lost is not known"
            log.warning("%s; %s", self._cause, lost)
            self._logged = times


class Microphone(Source):
    """An input device, recorded until it is stopped."""

    live = True

    def __init__(self, rate: int, device: str | None = None) -> None:
        """`device`: its number, or part of its name; None: the system's default."""
        super().__init__("microphone", rate)
        self._device: int | str | None = int(device) if device and device.isdecimal() else device
        self._queue: queue.SimpleQueue[FloatArray | None] = queue.SimpleQueue()  # None: the end
        self._overruns = Loss("the microphone was not read in time")
        self._dropped = Loss(f"the model is more than {MOST_SECONDS:g} s behind the microphone")
        self._behind = Milestones(BEHIND)
        self._due = self._taken = 0.0  # the next block's expected start, the last one's arrival

    def stop(self) -> None:
        """Stop recording; what was recorded is still returned. May be called from a signal handler."""
        super().stop()
        self._queue.put(None)

    def _blocks(self) -> Iterator[FloatArray]:
        """All blocks of 80 ms that were recorded before `stop`. Raises DeviceError."""
        stream: Any = self._open()
        log.info("listening; Ctrl-C ends")
        try:
            while stream is not None:
                with closing(stream):
                    yield from resampled(self._recorded(stream), round(stream.samplerate), self.rate)
                stream = None if self.stopped else self._reopen()
        finally:
            self._overruns.log(final=True)
            self._dropped.log(final=True)

    def _recorded(self, stream: Any) -> Iterator[FloatArray]:
        """Blocks as they were recorded, until `stop` or until the device is disconnected."""
        while True:
            try:
                block = self._queue.get(timeout=PATIENCE / 4)
            except queue.Empty:
                if not stream.active or time.monotonic() - self._taken > PATIENCE:
                    return
                continue
            if block is None:
                return
            self._overruns.log()
            self._dropped.log()
            waiting = self._queue.qsize() * BLOCK_SECONDS
            if self._behind.passed(waiting):
                log.warning("the model is slower than real time: %.0f s behind the microphone", waiting)
            self.level = float(np.sqrt(np.mean(np.square(block, dtype=np.float64))))
            yield block

    def _reopen(self) -> Any:
        """The stream of a device that has returned; None if stopped. Raises DeviceError if it has not."""
        last, until = self._taken, time.monotonic() + REOPENING
        log.warning("the microphone is gone; waiting up to %g s for it to come back", REOPENING)
        while not self.stopped:
            try:
                _restart_portaudio()
                stream = self._open()
            except DeviceError as error:
                if time.monotonic() > until:
                    raise DeviceError(f"the microphone did not come back in {REOPENING:g} s") from error
                time.sleep(PATIENCE / 8)
            else:
                log.warning("the microphone is back; %.1f s lost", self._taken - last)
                return stream
        return None

    def _open(self) -> Any:
        """A running stream, in the model's format or else in the device's own. Raises DeviceError."""
        library = sounddevice_library()
        refusals = []
        for rate, channels in self._layouts(library):
            try:
                return self._start(library, rate, channels)
            except (library.PortAudioError, ValueError) as error:
                refusals.append(error)
        raise DeviceError(
            f"no microphone can be opened ({refusals[0]}); see --list-devices{INSTEAD}"
        ) from refusals[0]

    def _layouts(self, library: Any) -> list[tuple[int, int]]:
        """Rates and channels to try, the best first."""
        try:
            native = round(library.query_devices(self._device, "input")["default_samplerate"])
        except (library.PortAudioError, ValueError):  # opening it reports what is wrong
            native = self.rate
        return list(dict.fromkeys([(self.rate, 1), (native, 1), (native, 2)]))

    def _start(self, library: Any, rate: int, channels: int) -> Any:
        stream = library.InputStream(
            samplerate=rate,
            blocksize=round(rate * BLOCK_SECONDS),
            device=self._device,
            channels=channels,
            dtype="float32",
            callback=self._take,
        )
        self._due, self._taken = 0.0, time.monotonic()
        try:
            stream.start()
        except BaseException:
            stream.close()
            raise
        return stream

    def _take(self, data: FloatArray, frames: int, moment: Any, status: Any) -> None:
        """On the device's thread: keep a copy of the samples, and count those that were lost."""
        begin = moment.inputBufferAdcTime  # 0 where the system does not know it
        if status.input_overflow:
            self._overruns.add(begin - self._due if begin and self._due else 0.0)
        self._due = begin and begin + BLOCK_SECONDS
        self._taken = time.monotonic()
        if self._queue.qsize() * BLOCK_SECONDS < MOST_SECONDS:
            with np.errstate(all="ignore"):  # a sample that is not finite would stay in the resampler
                self._queue.put(np.nan_to_num(data.mean(axis=1), posinf=0.0, neginf=0.0))
        else:
            self._dropped.add(BLOCK_SECONDS)


def input_devices() -> list[str]:
    """A line for each device that records, the default one marked. Raises DeviceError."""
    library = sounddevice_library()
    chosen = library.default.device[0]
    lines = [
        f"{'*' if index == chosen else ' '}{index:3}  {device['name']}"
        f" ({device['max_input_channels']} channels, {device['default_samplerate']:g} Hz)"
        for index, device in enumerate(library.query_devices())
        if device["max_input_channels"] > 0
    ]
    if not lines:
        raise DeviceError("there is no device that records")
    return lines


def sounddevice_library(instead: str = "") -> Any:
    """sounddevice, imported only where it is needed: it requires PortAudio.

    Raises DeviceError; the message ends with what to do `instead` of installing that.
    """
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            f"PortAudio is not installed (Debian: apt install libportaudio2){instead}"
        ) from error
    return sounddevice


def _restart_portaudio() -> None:
    """Restart PortAudio, which lists devices only when it starts. Raises DeviceError."""
    library = sounddevice_library()
    try:
        library._terminate()
        library._initialize()
    except library.PortAudioError as error:
        raise DeviceError(f"PortAudio cannot be started again ({error})") from error
