"""The microphone as a source of sound. What goes wrong is told, with the seconds lost, and survived."""

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
"""Sound that may wait for a model slower than real time (38 MB); what comes beyond it is lost, and told."""
BEHIND = 5.0
"""Seconds of sound waiting from which on it is told."""
PATIENCE = 2.0
"""Seconds without a sample after which a device counts as gone."""
REOPENING = 30.0
"""Seconds in which a device that is gone may come back."""


class Milestones:
    """Whether a growing figure is worth telling again: when it has doubled, so long trouble is few lines."""

    def __init__(self, first: float) -> None:
        self._next = first

    def passed(self, figure: float) -> bool:
        """Whether `figure` has reached the next milestone."""
        if figure < self._next:
            return False
        self._next = 2 * figure
        return True


class Loss:
    """Seconds lost to one cause. The device's thread counts, the reader's thread tells."""

    def __init__(self, cause: str) -> None:
        self._cause = cause
        self._seconds, self._times, self._told = 0.0, 0, 0
        self._milestones = Milestones(1)

    def add(self, seconds: float) -> None:
        """Count one more; the seconds may be unknown (0)."""
        self._seconds += max(seconds, 0.0)
        self._times += 1

    def tell(self, at_last: bool = False) -> None:
        """Log what was lost in all, if there is enough news, or any and it is the last occasion."""
        times = self._times
        if self._milestones.passed(times) or (at_last and times > self._told):
            lost = f"{self._seconds:.1f} s lost so far" if self._seconds else "how much is lost is not known"
            log.warning("%s; %s", self._cause, lost)
            self._told = times


class Microphone(Source):
    """An input device, until it is stopped."""

    live = True

    def __init__(self, rate: int, device: str | None = None) -> None:
        """`device`: its number, or part of its name; None: the system's choice."""
        super().__init__("microphone", rate)
        self._device: int | str | None = int(device) if device and device.isdecimal() else device
        self._queue: queue.SimpleQueue[FloatArray | None] = queue.SimpleQueue()  # None: the end
        self._overruns = Loss("the microphone was not read in time")
        self._dropped = Loss(f"the model is more than {MOST_SECONDS:g} s behind the microphone")
        self._behind = Milestones(BEHIND)
        self._due = self._taken = 0.0  # when the next block should begin, and when the last one came

    def stop(self) -> None:
        """Record no more; what was recorded is still given out. May be called from a signal handler."""
        super().stop()
        self._queue.put(None)

    def _blocks(self) -> Iterator[FloatArray]:
        """Blocks of 80 ms, all that were recorded before `stop`. Raises DeviceError."""
        stream: Any = self._open()
        log.info("listening; Ctrl-C ends")
        try:
            while stream is not None:
                with closing(stream):
                    yield from resampled(self._recorded(stream), round(stream.samplerate), self.rate)
                stream = None if self.stopped else self._reopen()
        finally:
            self._overruns.tell(at_last=True)
            self._dropped.tell(at_last=True)

    def _recorded(self, stream: Any) -> Iterator[FloatArray]:
        """Blocks as they were recorded, until `stop` or until the device is gone."""
        while True:
            try:
                block = self._queue.get(timeout=PATIENCE / 4)
            except queue.Empty:
                if not stream.active or time.monotonic() - self._taken > PATIENCE:
                    return
                continue
            if block is None:
                return
            self._tell()
            self.level = float(np.sqrt(np.mean(np.square(block, dtype=np.float64))))
            yield block

    def _tell(self) -> None:
        self._overruns.tell()
        self._dropped.tell()
        waiting = self._queue.qsize() * BLOCK_SECONDS
        if self._behind.passed(waiting):
            log.warning("the model is slower than real time: %.0f s behind the microphone", waiting)

    def _reopen(self) -> Any:
        """The stream of a device that came back; None if stopped. Raises DeviceError if it stays away."""
        last, until = self._taken, time.monotonic() + REOPENING
        log.warning("the microphone is gone; waiting up to %g s for it to come back", REOPENING)
        while not self.stopped:
            try:
                _look_again()
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
        """A running stream, as the model wants it or else as the device can. Raises DeviceError."""
        library = sounddevice_library()
        refusals = []
        for rate, channels in self._layouts(library):
            try:
                return self._start(library, rate, channels)
            except (library.PortAudioError, ValueError) as error:
                refusals.append(error)
        raise DeviceError(
            f"no microphone can be opened ({refusals[0]}); see --list-devices, or try --audio FILE"
        ) from refusals[0]

    def _layouts(self, library: Any) -> list[tuple[int, int]]:
        """Rates and channels to try, best first."""
        try:
            native = round(library.query_devices(self._device, "input")["default_samplerate"])
        except (library.PortAudioError, ValueError):  # what is wrong is told on opening
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
        """On the device's thread: keep a copy of what was recorded, and count what was not."""
        begin = moment.inputBufferAdcTime  # 0 where a system does not tell
        if status.input_overflow:
            self._overruns.add(begin - self._due if begin and self._due else 0.0)
        self._due = begin and begin + BLOCK_SECONDS
        self._taken = time.monotonic()
        if self._queue.qsize() * BLOCK_SECONDS < MOST_SECONDS:
            with np.errstate(all="ignore"):  # what is not finite would stay in the resampler for good
                self._queue.put(np.nan_to_num(data.mean(axis=1), posinf=0.0, neginf=0.0))
        else:
            self._dropped.add(BLOCK_SECONDS)


def input_devices() -> list[str]:
    """A line for each device that records, the system's choice marked. Raises DeviceError."""
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


def sounddevice_library() -> Any:
    """Imported only for the microphone: it fails where PortAudio is missing. Raises DeviceError."""
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            "PortAudio is not installed (Debian: apt install libportaudio2); try --audio FILE"
        ) from error
    return sounddevice


def _look_again() -> None:
    """PortAudio knows the devices there were when it started. Raises DeviceError."""
    library = sounddevice_library()
    try:
        library._terminate()
        library._initialize()
    except library.PortAudioError as error:
        raise DeviceError(f"PortAudio cannot be started again ({error})") from error
