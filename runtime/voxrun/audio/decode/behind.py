"""What comes behind the samples that a WAV promises: tags, another recording, more samples, or junk."""

import logging
import math
from dataclasses import replace

import numpy as np

from .bytestream import ByteStream
from .formats import looks_like_samples
from .wav import Header, Layout, begins, is_name, read_header

log = logging.getLogger("voxrun")
WAITS = 4
"""How often `ByteStream.ready` is asked, half a second each, whether a pipe goes on or ends."""
NEAR, FAR = 1 << 13, 1 << 20
"""Bytes of samples that are looked at, fewer are a tag; bytes in which they begin behind zeros."""
TAGS = {b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"fact", b"smpl", b"inst", b"_PMX", b"JUNK"}
"""Chunks whose sizes need not be right."""


def following(stream: ByteStream, header: Header) -> Header | None:
    """The header of what is to be heard behind the samples that a header promised, which were all read.

    Tags are passed over. None: the sound ends here. Raises AudioError if a WAV begins that cannot be heard.
    """
    if header.size == math.inf:
        return None
    end, tagged = stream.position, False
    _skip_padding(stream, header)
    while _goes_on(stream) and len(head := stream.peek(24 if header.is_wave64 else 12)) >= 12:
        if begins(head):
            return read_header(stream)
        size = _chunk(stream, header, head)
        if not size:
            return replace(header, size=math.inf) if not tagged and _is_sound(stream, header, end) else None
        stream.skip(size)
        tagged = True
    return None


def _skip_padding(stream: ByteStream, header: Header) -> None:
    if header.is_wave64:
        stream.skip(int(-header.size % 8))
    elif header.size % 2 and _goes_on(stream) and not is_name(stream.peek(4)):
        stream.skip(1)


def _goes_on(stream: ByteStream) -> bool:
    """Whether there is more, or the end; a pipe may stay open behind its recording."""
    if any(stream.ready() for _ in range(WAITS)):
        return True
    log.warning("%s: all of the WAV was heard, by its header, and the pipe is still open", stream.name)
    return False


def _chunk(stream: ByteStream, header: Header, head: bytes) -> int:
    """Bytes of the chunk of tags that begins here, 0 if none does."""
    if header.is_wave64:
        size = int.from_bytes(head[16:24], "little")
        size += -size % 8
    else:
        size = int.from_bytes(head[4:8], "big" if header.layout.order == ">" else "little")
        size += 8 + size % 2
    fits = stream.position + size <= max(header.end, stream.size or 0) + 1
    return size if is_name(head[:4]) and (fits or head[:4] in TAGS) else 0


def _is_sound(stream: ByteStream, header: Header, end: int) -> bool:
    """Whether what is no chunk, behind the end of the samples, are samples too.

    So it is if the header contradicts itself, and if it looks like samples: a recorder that renews its header
    now and then has crashed.
    """
    padding = 7 if header.is_wave64 else 1
    if not 0 <= header.end - end <= padding:
        return True
    if not header.layout.is_plain:
        return False
    data = stream.look(NEAR, FAR) if stream.size is None else stream.peek(FAR)
    zeros = len(data) - len(data.lstrip(b"\0"))  # silence, or nothing
    sound = data[zeros - zeros % header.layout.frame :][:NEAR]
    return len(sound) == NEAR and looks_like_samples(_as_16_bits(sound, header.layout))


def _as_16_bits(data: bytes, layout: Layout) -> bytes:
    """The first channel."""
    samples = layout.decode(data[: len(data) // layout.frame * layout.frame])[:, 0]
    with np.errstate(all="ignore"):
        return (np.clip(np.nan_to_num(samples, nan=1.0), -1, 1) * 32767).astype("<i2").tobytes()
