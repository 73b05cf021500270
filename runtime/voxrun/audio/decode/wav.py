"""WAV: its header, and samples that are plain numbers, whatever lengths the header claims.

One reader for files and pipes: a live stream is heard at once (FFmpeg's waits for 64 KB), and a recorder
that crashed, or a length that is unknown, loses nothing. Other codecs in WAV go to FFmpeg.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from voxrun.arrays import Array, FloatArray
from voxrun.errors import AudioError

from .bytestream import ByteStream, Readable
from .losses import Losses

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
WIDTHS = {PCM: (8, 16, 24, 32, 64), FLOAT: (32, 64)}
"""Bits a sample, by format code."""
ORDERS = {b"RIFF": "<", b"RF64": "<", b"RIFX": ">"}
W64 = b"riff\x2e\x91\xcf\x11"
UNKNOWN_SIZE = 0x7FFF0000
"""Sizes from here on may mean an unknown length: ffmpeg, sox and arecord write such headers into pipes."""
PLACEHOLDERS = (range(UNKNOWN_SIZE, 0x80001000), range(0xFFFF0000, 1 << 32))
"""Those that programs write who know no length, even where the size of the RIFF agrees."""
MOST_BEHIND = 1 << 24
"""Bytes of tags behind the samples at most, in a header that knows its length."""
MOST_CHANNELS = 64
"""More is taken for a damaged header."""
LONGEST_FORMAT = 4096
"""Bytes of a `fmt ` chunk at most; an extensible one has its real format code at byte 24."""
MOST_BYTES = 1 << 22
"""Bytes read at once at most, for any header."""
READ_SECONDS = 0.5


@dataclass(frozen=True)
class Layout:
    """How samples are stored in a stream of bytes."""

    rate: int
    channels: int
    code: int = PCM
    bits: int = 16
    order: str = "<"

    @property
    def frame(self) -> int:
        """Bytes of one sample of every channel."""
        return self.channels * self.bits // 8

    @property
    def is_plain(self) -> bool:
        """Whether the samples are numbers, not a codec's packets."""
        return self.bits in WIDTHS.get(self.code, ())

    def decode(self, data: bytes) -> Array:
        """Whole frames of bytes -> samples [n, channels] in -1..1."""
        numbers: Array
        if self.code == FLOAT:
            numbers = np.frombuffer(data, f"{self.order}f{self.bits // 8}")
        elif self.bits == 8:
            numbers = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
        elif self.bits == 24:  # the upper three bytes of 32
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            upper = slice(1, 4) if self.order == "<" else slice(0, 3)
            padded[:, upper] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            numbers = padded.view(f"{self.order}i4")[:, 0] / 2.0**31
        else:
            numbers = np.frombuffer(data, f"{self.order}i{self.bits // 8}") / 2.0 ** (self.bits - 1)
        return numbers.reshape(-1, self.channels)


@dataclass(frozen=True)
class Header:
    """A WAV header up to the first sample."""

    layout: Layout
    format: bytes
    """The body of the `fmt ` chunk."""
    size: float
    """Bytes of samples; infinite if unknown."""
    end: int = 0
    """The place in the stream where the recording ends, tags included, by its first chunk."""
    is_wave64: bool = False

    @property
    def seconds(self) -> float | None:
        """The length, if the header knows it."""
        rate = self.layout.frame * self.layout.rate
        if not self.layout.is_plain:
            (rate,) = struct.unpack_from(f"{self.layout.order}I", self.format, 8)
        return self.size / rate if rate and self.size < math.inf else None

    def rebuilt(self) -> bytes:
        """A header with nothing but what a decoder needs: other chunks may claim gigabytes."""
        magic = b"RIFX" if self.layout.order == ">" else b"RIFF"
        number = struct.Struct(f"{self.layout.order}I").pack
        size = number(int(self.size) if self.size < UNKNOWN_SIZE else 0xFFFFFFFF)
        form = self.format + bytes(len(self.format) % 2)
        return magic + number(0xFFFFFFFF) + b"WAVEfmt " + number(len(self.format)) + form + b"data" + size


def begins(head: bytes) -> bool:
    """Whether a WAV begins with these bytes, 12 at least."""
    return head.startswith(W64) or (head[:4] in ORDERS and head[8:12] == b"WAVE")


def read_header(stream: ByteStream) -> Header:
    """Read up to the first sample. Raises AudioError if the header ends early or is impossible."""
    begin = stream.position
    if stream.peek(len(W64)) == W64:
        size = int.from_bytes(stream.exactly(40)[16:24], "little")
        return _header(stream, _w64_chunks(stream), Header(Layout(0, 1), b"", math.inf, begin + size, True))
    head = stream.exactly(12)
    order = ORDERS[head[:4]]
    (size,) = struct.unpack_from(f"{order}I", head, 4)
    empty = Header(Layout(0, 1, order=order), b"", math.inf, begin + 8 + size)
    return _header(stream, _chunks(stream, order), empty)


def _header(stream: ByteStream, chunks: Iterator[tuple[bytes, int]], empty: Header) -> Header:
    """Consume the chunks up to that of the samples."""
    body, long_size, end, order = b"", None, empty.end, empty.layout.order
    for kind, size in chunks:
        if kind == b"data":
            claimed = size if long_size is None or size < UNKNOWN_SIZE else long_size
            known = claimed if _is_known(stream, claimed, end) else math.inf
            return replace(empty, layout=_layout(body, order, stream.name), format=body, size=known, end=end)
        kept = stream.exactly(min(size, LONGEST_FORMAT))
        stream.skip(size - len(kept))
        if kind == b"fmt ":
            body = kept
        if kind == b"ds64" and len(kept) >= 16:
            riff, long_size = struct.unpack_from("<QQ", kept)
            end += riff - 0xFFFFFFFF
    raise AudioError(f"{stream.name}: the WAV header breaks off before any samples")


def _is_known(stream: ByteStream, size: int, end: int) -> bool:
    """Whether a header that claims so many bytes of samples, which follow now, knows its length."""
    if size < UNKNOWN_SIZE or 1 << 32 <= size < 1 << 62:
        return size > 0
    behind = stream.position + size
    if stream.size is not None and stream.size >= behind:
        return True
    least = 2 if any(size in each for each in PLACEHOLDERS) else 0  # tags are promised behind the samples
    return size < 1 << 32 and least <= end - behind <= MOST_BEHIND


def _chunks(stream: ByteStream, order: str) -> Iterator[tuple[bytes, int]]:
    """(name, size) of each chunk, whose body the caller consumes."""
    while len(head := stream.exactly(8)) == 8:
        kind, size = struct.unpack(f"{order}4sI", head)
        yield kind, size
        if size % 2 and not is_name(stream.peek(4)):  # chunks are padded to even lengths, by most writers
            stream.skip(1)


def _w64_chunks(stream: ByteStream) -> Iterator[tuple[bytes, int]]:
    """The same of Sony Wave64: names of 16 bytes, sizes of 64 bits with the head included, padded to 8."""
    while len(head := stream.exactly(24)) == 24:
        kind, (size,) = head[:4], struct.unpack_from("<Q", head, 16)
        yield kind, max(0, size - 24)
        stream.skip(-size % 8)


def is_name(data: bytes) -> bool:
    """Whether these may be the four characters of a chunk's name."""
    return len(data) == 4 and all(32 <= byte < 127 for byte in data)


def _layout(body: bytes, order: str, name: str) -> Layout:
    if len(body) < 16:
        raise AudioError(f"{name}: the WAV header does not describe its samples")
    code, channels, rate, _, _, bits = struct.unpack_from(f"{order}HHIIHH", body)
    if code == EXTENSIBLE and len(body) >= 26:
        (code,) = struct.unpack_from(f"{order}H", body, 24)
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioError(
            f"{name}: WAV of {channels} channels is damaged; {MOST_CHANNELS} can be read at most"
        )
    return Layout(rate, channels, code, bits, order)


class Samples:
    """Sound from samples that are plain numbers: WAV, or without any header."""

    def __init__(self, stream: Readable, layout: Layout, size: float = math.inf) -> None:
        """`size`: bytes of samples that a WAV header promises; infinite if it does not know."""
        self._stream, self._layout, self._size = stream, layout, size
        self.losses = Losses()
        known = size < math.inf
        self.seconds = size / (layout.frame * layout.rate) if known and layout.rate else None

    def __iter__(self) -> Iterator[tuple[FloatArray, int]]:
        """(samples [n, channels], samples a second), as they come. Raises AudioError."""
        layout, data, left = self._layout, b"", self._size
        most = min(max(1, round(READ_SECONDS * layout.rate)), MOST_BYTES // layout.frame) * layout.frame
        while left > 0 and (new := self._stream.read(int(min(left, most)))):
            data, left = data + new, left - len(new)
            whole = len(data) - len(data) % layout.frame
            if whole:
                yield layout.decode(data[:whole]), layout.rate
                data = data[whole:]
        if 0 < left < math.inf:
            self.losses.tail(left / (layout.frame * layout.rate))
