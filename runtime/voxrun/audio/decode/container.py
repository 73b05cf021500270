"""Every container but plain WAV, decoded by FFmpeg (PyAV) as a stream, through damage and to the end.

A recording is opened only as the container that its first bytes name (`formats.py`), from a file
object, with all of FFmpeg's protocols off: no recording can make it read another file or the network.
"""

import ctypes
import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

from .flac import FrameTimes
from .frames import Frames, silent, without_order
from .gaps import PlacedGaps, TimedGaps
from .losses import Losses

MOST_FAILURES = 20
"""Failures of a container in a row, without a packet between them, that end it."""
OPTIONS = {"protocol_whitelist": "", "analyzeduration": "100000"}
"""No access to anything but the given bytes; 0.1 s of a live stream are read before it begins."""
LATE = {demuxer: {"analyzeduration": "30000000"} for demuxer in ("flv", "mpeg", "mpegts", "avi", "rm")}
"""Containers whose tracks are known only by their first packets: sound may begin 30 s after the picture."""
PAUSING = {"opus", "amrnb", "amrwb", "libopencore_amrnb", "libopencore_amrwb", "speex", "evrc", "g723_1"}
"""Codecs that may send nothing for up to 0.4 s of silence."""
UNSIZED = {"wav", "caf", "mpegts"}
"""Containers whose last packet may be shorter than FFmpeg asked for, though nothing is missing."""
SIZED = {"flac", "mov", "aiff", "au", "wv", "tta", "ape", "tak"}
"""Containers whose headers tell the length of each track."""
MISSING = {"mov": "its index is missing or damaged, as in a recording that was cut short"}
STRICT = {"err_detect": "crccheck+explode"}
"""FLAC frames have checksums; FFmpeg looks at them if it is asked to."""
MOST_UNDECODED = 5000
"""Packets in a row that cannot be decoded, after which nothing more is expected: 100 s of most codecs."""


MOST_ALLOCATED, DEFAULT_ALLOCATED = 128 * 2**20, 2**31 - 1
"""Bytes that FFmpeg may allocate at once: a few bytes of a header can claim gigabytes. The index of an MP4 of
a day has 100 MB."""


_limit = ctypes.CDLL(av._core.__file__).av_max_alloc  # PyAV does not offer it, but has loaded it
_limit.argtypes, _limit.restype = [ctypes.c_size_t], None


@contextmanager
def limited_allocations() -> Iterator[None]:
    """FFmpeg's own limit of one allocation, while a header is read; the program may use FFmpeg too."""
    _limit(MOST_ALLOCATED)
    try:
        yield
    finally:
        _limit(DEFAULT_ALLOCATED)


class Container:
    """The sound of one track, from a file object that is read once."""

    def __init__(
        self,
        file: Any,
        demuxer: str,
        name: str,
        track: int | None = None,
        options: dict[str, str] | None = None,
    ) -> None:
        """`track` counts from 1; `options` are the demuxer's. Raises AudioError."""
        self._name, self._demuxer, self.losses = name, demuxer, Losses()
        self._file = Guarded(file, name)
        try:
            with limited_allocations():
                self._container = av.open(
                    self._file,
                    mode="r",
                    format=demuxer,
                    metadata_errors="replace",
                    container_options={**OPTIONS, **LATE.get(demuxer, {}), **(options or {})},
                )
        except (av.FFmpegError, OSError, ValueError) as error:
            self._file.check()
            missing = MISSING.get(demuxer) or reason(error)
            raise AudioError(f"{name}: cannot be read as audio ({missing})") from error
        self._stream = self._track(track)
        if demuxer == "flac":
            self._stream.codec_context.options = STRICT

    def _track(self, track: int | None) -> Any:
        streams = self._container.streams.audio
        if not streams:
            raise AudioError(f"{self._name}: the recording has no sound track")
        if (track or 1) > len(streams):
            tracks = "one sound track" if len(streams) == 1 else f"{len(streams)} sound tracks"
            raise AudioError(f"{self._name}: there is no sound track {track}; the recording has {tracks}")
        stream = streams[(track or 1) - 1]
        if stream.codec_context is None:
            raise AudioError(f"{self._name}: cannot be read as audio (the codec of its sound is not known)")
        without_order(stream.codec_context)
        return stream

    @property
    def seconds(self) -> float | None:
        """The length of the track by the container's header, if it tells one."""
        stream, container = self._stream, self._container
        fragmented = self._demuxer == "mov" and not stream.frames  # then only the first fragment is counted
        if self._demuxer in SIZED and stream.duration and not fragmented:
            return float(stream.duration * stream.time_base)
        alone = len(container.streams) == 1  # beside a film, sound may end early
        if self._demuxer in ("matroska", "asf") and alone and container.duration:
            begin = max(container.start_time or 0, 0)  # of a part of a longer recording
            return float((container.duration - begin) / av.time_base)
        return None

    def sound(self, gaps: "TimedGaps | PlacedGaps | None" = None) -> Iterator[tuple[FloatArray, int]]:
        """(samples [n, channels], samples a second), with silence where some are missing.

        Raises AudioError if reading fails; what cannot be decoded is noted in `losses`.
        """
        try:
            yield from self._sound(gaps or self._timed_gaps())
        finally:
            self._container.close()

    def _sound(self, gaps: "TimedGaps | PlacedGaps") -> Iterator[tuple[FloatArray, int]]:
        numbers = FrameTimes() if self._demuxer == "flac" else None
        decoded, undecoded = Frames(), 0
        for packet in self._packets():
            seconds = float((packet.duration or 0) * (packet.time_base or 0))
            frames = self._decode(packet)
            if not frames:
                if packet.size and frames is None:
                    gaps.failure(packet.pos, packet.size, seconds)
                    undecoded += 1
                if undecoded > MOST_UNDECODED:
                    self.losses.cut = True
                    return
                continue
            undecoded = 0
            number = numbers.of(bytes(packet), frames[0].samples, frames[0].sample_rate) if numbers else None
            place, size = packet.pos, packet.size
            for frame in frames:
                length = frame.samples / frame.sample_rate
                if numbers:
                    at, number = number, None
                else:
                    at = None if frame.pts is None else float(frame.pts * (frame.time_base or Fraction(0)))
                silence = gaps.sound(place, size, at, length)
                place, size = None, 0  # the packet counts once
                samples = decoded.samples(frame)
                if silence:
                    n = round(silence * frame.sample_rate)
                    yield from silent(n, samples.shape[1], frame.sample_rate)
                yield samples, frame.sample_rate
        gaps.finish()

    def _timed_gaps(self) -> TimedGaps:
        if self._demuxer == "flac":  # its frames are numbered: every missing one is known
            return TimedGaps(self.losses, 0.0, least=0.001, told=0.001, late=False)
        if self._container.start_time is None:
            return TimedGaps(self.losses, None)
        start = self._container.start_time / float(av.time_base)
        length = math.inf if self.seconds is None else self.seconds
        return TimedGaps(self.losses, start, length, pauses=self._stream.codec_context.name in PAUSING)

    def _packets(self) -> Iterator[Any]:
        failures, corrupt = 0, False
        while failures < MOST_FAILURES:
            try:
                for packet in self._container.demux(self._stream):
                    self._file.check()
                    failures, corrupt = 0, packet.is_corrupt if packet.size else corrupt
                    yield packet
                break
            except (av.FFmpegError, OSError, IndexError):  # OSError: seeking; IndexError: a new stream
                self._file.check()
                failures += 1
        self.losses.cut = self._demuxer not in UNSIZED and corrupt

    def _decode(self, packet: Any) -> "list[Any] | None":
        """Its frames; None if it cannot be decoded."""
        try:
            return [frame for frame in packet.decode() if frame.samples]
        except av.FFmpegError:
            return None


class Guarded:
    """A file object whose errors, also Ctrl-C, wait until FFmpeg has returned: it would swallow them."""

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name
        self._error: BaseException | None = None
        seekable = getattr(file, "seekable", None)
        self.seekable = seekable if callable(seekable) else lambda: False

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end and after an error."""
        try:
            data: bytes = self._file.read(n) if self._error is None else b""
        except BaseException as error:
            self._error, data = error, b""
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte; negative, which is an error to FFmpeg, if there can be none."""
        try:
            at: int = self._file.seek(offset, whence)
        except (OSError, OverflowError, ValueError):  # damaged headers lead anywhere
            return -1
        return at

    def tell(self) -> int:
        """The byte to be read next."""
        at: int = self._file.tell()
        return at

    def check(self) -> None:
        """Raises the error that a read ended with; AudioError for the system's."""
        if isinstance(self._error, OSError):
            reason = self._error.strerror or self._error
            raise AudioError(f"{self._name}: cannot be read ({reason})") from self._error
        if self._error is not None:
            raise self._error


def reason(error: Exception) -> str:
    """FFmpeg's reason, without its number and file name."""
    text = getattr(error, "strerror", None) or str(error)
    return text[0].lower() + text[1:] if text else type(error).__name__
