"""Decoded frames to samples, around what PyAV cannot do: many planes, 64-bit integers, odd channel orders."""

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from voxrun.arrays import FloatArray

SCALES = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}
"""Full scale of FFmpeg's sample formats."""
MOST_PLANES = 8
"""Channels from which PyAV 18 reads planes beyond the last one, and ends the process."""
MOST_SILENCE = 1 << 16
"""Samples at once: a damaged header may claim any rate."""


def without_order(decoder: Any) -> None:
    """Let a decoder forget an unusual order of channels: PyAV 18 frees the list of their places twice.

    Reading `layout` frees it once already, so that it must be replaced at once.
    """
    layout = decoder.layout
    if "(" in layout.name:  # such as "3 channels (FL+FC+FR)"
        decoder.layout = f"{layout.nb_channels} channels"


class Frames:
    """Turns decoded frames into samples."""

    def __init__(self) -> None:
        self._resamplers: dict[tuple[str, str, int], Any] = {}

    def samples(self, frame: Any) -> FloatArray:
        """The samples [n, channels] of a frame, in -1..1."""
        if frame.format.is_planar and frame.layout.nb_channels >= MOST_PLANES:
            return self._converted(frame, frame.format.packed.name)
        if frame.format.name.startswith("s64"):  # PyAV makes no arrays of them
            return self._converted(frame, "dbl")
        kind = frame.format.name.removesuffix("p")
        values = frame.to_ndarray()
        values = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
        if kind == "u8":
            values = values.astype(np.float32) - 128
        with np.errstate(all="ignore"):  # the source refuses what is not finite
            floats: FloatArray = np.ascontiguousarray(values / SCALES[kind], np.float32)
        return floats

    def _converted(self, frame: Any, form: str) -> FloatArray:
        """The samples by way of another sample format; making a converter takes 2 ms."""
        key = form, frame.layout.name, frame.sample_rate
        if key not in self._resamplers:
            self._resamplers[key] = av.AudioResampler(format=form)
        return np.concatenate([self.samples(each) for each in self._resamplers[key].resample(frame)])


def silent(n: int, channels: int, rate: int) -> Iterator[tuple[FloatArray, int]]:
    """Silence of n samples, in short blocks [n, channels], with their rate."""
    while n > 0:
        block = min(n, rate, MOST_SILENCE)
        yield np.zeros((block, channels), np.float32), rate
        n -= block
