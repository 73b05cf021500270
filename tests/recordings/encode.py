"""Encoders: samples -> the bytes of a recording, by FFmpeg's libraries (PyAV) or by libsndfile."""

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile

from .sounds import RATE

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
FRAMES_PER_SECOND = 5
"""Of video."""
FRAME = 4096
"""Samples that an encoder is given at once."""


class Pipe:
    """A file that is written from its beginning to its end: no length can be filled in later."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()

    def write(self, data: bytes) -> int:
        return self._bytes.write(data)

    def getvalue(self) -> bytes:
        return self._bytes.getvalue()


def encoded(
    container: str,
    codec: str,
    *tracks: np.ndarray,
    rate: int = RATE,
    form: str | None = None,
    pipe: bool = False,
    video: bool = False,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> bytes:
    """A recording whose sound tracks hold samples [n] or [n, channels] at `rate`.

    `form`: the sample format, if the codec has several; `pipe`: written as into a pipe; `video`: with a picture
    track in front; `options` of the codec, `muxer` and `metadata` of the container.
    """
    file: Any = Pipe() if pipe else io.BytesIO()
    with av.open(file, "w", format=container, container_options=muxer or {}) as output:
        output.metadata.update(metadata or {})
        picture = _add_video(output) if video else None
        streams = [_add_sound(output, codec, track, rate, form, options or {}) for track in tracks]
        if picture is not None:
            _write_video(output, picture, max((len(track) / rate for track in tracks), default=1.0))
        for stream, track in zip(streams, tracks, strict=True):
            for frame in _frames(track, rate):
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
    data: bytes = file.getvalue()
    return data


def _add_sound(output: Any, codec: str, track: np.ndarray, rate: int, form: str | None, options: Any) -> Any:
    stream = output.add_stream(codec, rate=rate, layout=LAYOUTS[_matrix(track).shape[1]], options=options)
    if form:
        stream.codec_context.format = form
    return stream


def _frames(track: np.ndarray, rate: int) -> Iterator[av.AudioFrame]:
    """Short ones: of PCM each becomes a packet."""
    samples = np.ascontiguousarray(_matrix(track), np.float32)
    for at in range(0, len(samples), FRAME):
        block = samples[at : at + FRAME]
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=LAYOUTS[block.shape[1]])
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        yield frame


def _matrix(track: np.ndarray) -> np.ndarray:
    return track[:, None] if track.ndim == 1 else track


def _add_video(output: Any) -> Any:
    stream = output.add_stream("mpeg4", rate=FRAMES_PER_SECOND)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    return stream


def _write_video(output: Any, stream: Any, seconds: float) -> None:
    for index in range(round(seconds * FRAMES_PER_SECOND)):
        picture = np.full((64, 64, 3), index * 8 % 256, np.uint8)
        output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    output.mux(stream.encode(None))


def by_libsndfile(samples: np.ndarray, form: str, subtype: str, rate: int = RATE, **options: Any) -> bytes:
    """A recording as libsndfile writes it; `form` and `subtype` are soundfile's names."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype, **options)
    return file.getvalue()
