"""Joined MP4, AIFF, CAF, AVI and WavPack files: where each recording in a file begins and ends."""

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any

from .bytestream import Positioned

MOST_BOXES = 1_000_000
FIRST_BLOCK = 0x800
"""A flag of WavPack: the first of the blocks with the channels of the same samples."""


class Window(Positioned):
    """A part of a file."""

    def __init__(self, file: Any, begin: int, end: int) -> None:
        super().__init__()
        self._file, self._begin, self._end = file, begin, end

    def _bytes_at(self, at: int, n: int) -> bytes:
        self._file.seek(self._begin + at)
        data: bytes = self._file.read(max(0, min(n, self._size() - at)))
        return data

    def _size(self) -> int:
        return self._end - self._begin


def parts(file: Any, demuxer: str) -> list[Any]:
    """The recordings in a file, one after another; the file itself if there is only one."""
    size = file.seek(0, io.SEEK_END)
    walk = WALKS.get(demuxer)
    begins = list(walk(file, size)) if walk else [0]
    file.seek(0)
    if len(begins) < 2:
        return [file]
    ends = [*begins[1:], size]
    return [Window(file, begin, end) for begin, end in zip(begins, ends, strict=True)]


def _movies(file: Any, end: int) -> Iterator[int]:
    """Where each MP4 begins: at its `ftyp` box (ISO/IEC 14496-12)."""
    at = 0
    yield at
    for _ in range(MOST_BOXES):
        head = _bytes_at(file, at, 16)
        if len(head) < 8:
            return
        size, kind = struct.unpack_from(">I4s", head)
        if kind == b"ftyp" and at:
            yield at
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack_from(">Q", head, 8)
        if size < 8 or size > end - at:
            return
        at += size


def _forms(file: Any, end: int) -> Iterator[int]:
    """Where each AIFF begins."""
    at = 0
    while at < end and (head := _bytes_at(file, at, 12))[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        yield at
        (size,) = struct.unpack_from(">I", head, 4)
        at += 8 + size + size % 2
    if at == 0:
        yield at


def _caf_files(file: Any, end: int) -> Iterator[int]:
    """Where each CAF begins: a chunk cannot have its name."""
    at = 0
    yield at
    while len(head := _bytes_at(file, at, 12)) == 12:
        if head[:4] == b"caff":
            if at:
                yield at
            at += 8
            continue
        (size,) = struct.unpack_from(">q", head, 4)
        if size < 0 or size > end - at:
            return
        at += 12 + size


def _wavpacks(file: Any, end: int) -> Iterator[int]:
    """Where each WavPack begins: at a first block, of the samples from 0 on, maybe behind a tag."""
    at = 0
    yield at
    while len(head := _bytes_at(file, at, 32)) == 32:
        if head[:8] == b"APETAGEX":
            at += 32 + struct.unpack_from("<I", head, 12)[0]
        elif head[:3] == b"TAG":
            at += 128
        elif head[:4] == b"wvpk":
            size, index_above, index, samples, flags = struct.unpack_from("<I2xB5xIII", head, 4)
            if at and samples and flags & FIRST_BLOCK and not index and not index_above:
                yield at
            at += 8 + size
        else:
            return


def _avis(file: Any, end: int) -> Iterator[int]:
    """Where each AVI begins; long ones have several RIFF chunks."""
    at = 0
    while at < end and (head := _bytes_at(file, at, 12))[:4] == b"RIFF" and head[8:] in (b"AVI ", b"AVIX"):
        if head[8:] == b"AVI ":
            yield at
        (size,) = struct.unpack_from("<I", head, 4)
        at += 8 + size + size % 2
    if at == 0:
        yield at


WALKS: dict[str, Callable[[Any, int], Iterator[int]]] = {
    "mov": _movies,
    "aiff": _forms,
    "caf": _caf_files,
    "avi": _avis,
    "wv": _wavpacks,
}
"""(the file, its bytes) -> where its recordings begin, by FFmpeg's name of the container."""


def _bytes_at(file: Any, at: int, n: int) -> bytes:
    """Bytes of the file."""
    file.seek(at)
    data: bytes = file.read(n)
    while len(data) < n and (more := file.read(n - len(data))):
        data += more
    return data
