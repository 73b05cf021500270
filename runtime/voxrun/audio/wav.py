"""WAV from a pipe: the header is read once, the length of the samples may be unknown.

No library does this: libsndfile seeks, and takes 0xFFFFFFFF for a length; `wave` needs a length and integers.
Chunks before the samples are skipped; anything after them is not read.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxrun.arrays import Array
from voxrun.errors import AudioError

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
WIDTHS = {PCM: (8, 16, 24, 32), FLOAT: (32, 64)}
"""Bits a sample, by format code."""
MAGICS = (b"RIFF", b"RF64")
UNKNOWN_SIZE = 0x7FFF0000
"""Sizes from here on mean an unknown length: ffmpeg, sox and arecord write such headers into pipes."""
MOST_CHANNELS = 64
"""More is taken for a damaged header."""
SHORTEST_FORMAT, LONGEST_FORMAT = 16, 40
"""Bytes of a `fmt ` chunk; an extensible one, the longest, has its real format code at byte 24."""


@dataclass(frozen=True)
class Layout:
    """How samples are stored in a stream of bytes."""

    rate: int
    channels: int
    code: int = PCM
    bits: int = 16
    size: float = math.inf
    """Bytes of samples; infinite: until the stream ends."""

    @property
    def frame(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    @property
    def bytes_per_second(self) -> int:
        """Bytes of a second of sound."""
        return self.rate * self.frame

    def decode(self, data: bytes) -> Array:
        """Whole frames of bytes -> samples [n, channels] in -1..1."""
        numbers: Array
        if self.code == FLOAT:
            numbers = np.frombuffer(data, f"<f{self.bits // 8}")
        elif self.bits == 8:
            numbers = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
        elif self.bits == 24:  # the upper three bytes of 32
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            numbers = padded.view("<i4")[:, 0] / 2.0**31
        else:
            numbers = np.frombuffer(data, f"<i{self.bits // 8}") / 2.0 ** (self.bits - 1)
        return numbers.reshape(-1, self.channels)


def is_wav(head: bytes) -> bool:
    """Whether a stream with these first 12 bytes is WAV."""
    return head[:4] in MAGICS and head[8:12] == b"WAVE"


def read_header(read: Callable[[int], bytes], name: str) -> Layout:
    """Read up to the first sample; `read(n)` gives n bytes, fewer only at the end.

    Raises AudioError if the header ends early, or describes samples that are not plain numbers.
    """
    read(12)
    layout = None
    while True:
        head = read(8)
        if len(head) < 8:
            raise AudioError(f"{name}: the WAV header breaks off before any samples")
        kind, size = struct.unpack("<4sI", head)
        if kind == b"data":
            break
        body = read(min(size, LONGEST_FORMAT))
        _skip(read, size + size % 2 - len(body))  # chunks are padded to even lengths
        if kind == b"fmt ":
            layout = _layout(body, name)
    if layout is None:
        raise AudioError(f"{name}: the WAV header does not describe its samples")
    known = 0 < size < UNKNOWN_SIZE
    return Layout(layout.rate, layout.channels, layout.code, layout.bits, size if known else math.inf)


def _skip(read: Callable[[int], bytes], n: int) -> None:
    while n > 0 and (skipped := len(read(min(n, 1 << 16)))):
        n -= skipped


def _layout(body: bytes, name: str) -> Layout:
    if len(body) < SHORTEST_FORMAT:
        raise AudioError(f"{name}: the WAV header breaks off before any samples")
    code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:SHORTEST_FORMAT])
    if code == EXTENSIBLE and len(body) >= 26:
        (code,) = struct.unpack("<H", body[24:26])
    if channels == 0 or bits not in WIDTHS.get(code, ()):
        raise AudioError(
            f"{name}: WAV with format code {code}, {bits} bits and {channels} channels cannot be read from a"
            " pipe; integers of 8, 16, 24 and 32 bits and floats can"
        )
    if channels > MOST_CHANNELS:
        raise AudioError(
            f"{name}: WAV of {channels} channels is damaged; {MOST_CHANNELS} can be read at most"
        )
    return Layout(rate, channels, code, bits)
