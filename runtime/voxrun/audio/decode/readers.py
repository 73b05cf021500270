"""From bytes to sound: which reader a recording needs, by its format. A new kind is a function here.

A reader iterates once over (samples [n, channels], samples a second). `seconds` is the length if the header
tells one; `losses` are complete when the sound has ended.
"""

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

from .aiff import unsized_aiff
from .behind import following
from .bytestream import CHUNK, ByteStream
from .formats import SEEKING, UNTIMED, Format, recognise
from .links import LINKS
from .losses import Losses
from .parts import Window, parts
from .promises import caf_seconds, index_comes_first
from .raw import Raw
from .sync import Promise, Walk, mpeg_promise
from .wav import FLOAT, PCM, Header, Layout, Samples, read_header

if TYPE_CHECKING:  # FFmpeg's libraries are loaded only for what needs them
    from .container import Container
    from .tags import Tagged

log = logging.getLogger("voxrun")
Sound = Iterator[tuple[FloatArray, int]]
HEAD = 4096
"""Bytes in which a header may promise a length."""
MOST_BAD_LINKS = 100
"""Joined recordings that cannot be opened, after which nothing more is expected."""
LONGEST_EMPTY = 1 << 14
"""Bytes of a recording that may hold no sound: a header, and tags as long as encoders reserve space for."""
PLAIN = {
    "u8": (PCM, 8, "<"),
    **{f"s{bits}le": (PCM, bits, "<") for bits in (16, 24, 32)},
    **{f"s{bits}be": (PCM, bits, ">") for bits in (16, 24, 32)},
    **{f"f{bits}le": (FLOAT, bits, "<") for bits in (32, 64)},
    **{f"f{bits}be": (FLOAT, bits, ">") for bits in (32, 64)},
}
"""Raw codecs that are plain numbers: format code as in WAV, bits, byte order."""


class Reader(Protocol):
    """The sound of a recording."""

    seconds: float | None
    losses: Losses

    def __iter__(self) -> Sound:
        """(samples [n, channels], samples a second). Raises AudioError."""


def reader_for(
    stream: ByteStream, track: int | None = None, raw: Raw | None = None, guess: Raw | None = None
) -> Reader:
    """The reader for a stream of bytes.

    `track`: which sound track, from 1; `raw`: how to read samples without a header; `guess`: how to read what
    no format fits and what looks like samples. Raises AudioError.
    """
    if raw:
        return _only(_raw(stream, raw), stream.name, track)
    form = recognise(stream, guess is not None)
    stream.skip(form.junk)
    if form.demuxer == "raw" and guess:
        log.warning(
            "%s: no known format; read as raw samples (%s at %d Hz; --raw says otherwise)",
            stream.name,
            guess.codec,
            guess.rate,
        )
        return _only(_raw(stream, guess), stream.name, track)
    if form.demuxer in ("wav", "w64"):
        return Waves(stream, track)
    if form.demuxer == "aiff" and (samples := unsized_aiff(stream)):
        return _only(samples, stream.name, track)
    if form.demuxer in LINKS and form.demuxer not in SEEKING:
        return Chain(stream, form.demuxer, track)
    if form.demuxer in UNTIMED:
        return _untimed(stream, form.demuxer, track)
    return _timed(stream, form, track)


def _raw(stream: ByteStream, raw: Raw) -> Reader:
    if raw.codec in PLAIN:
        code, bits, order = PLAIN[raw.codec]
        return Samples(stream, Layout(raw.rate, raw.channels, code, bits, order))
    options = {"sample_rate": str(raw.rate), "ch_layout": f"{raw.channels}c"}
    return Timed(_container(stream, raw.codec, stream.name, options=options))


def _only(reader: Reader, name: str, track: int | None) -> Reader:
    """A reader of what has one sound track. Raises AudioError if another one is wanted."""
    if (track or 1) > 1:
        raise AudioError(f"{name}: there is no sound track {track}; the recording has one sound track")
    return reader


def _untimed(stream: ByteStream, demuxer: str, track: int | None) -> Reader:
    from .tags import Tagged

    promised = mpeg_promise(stream.peek(HEAD)) if demuxer == "mp3" else None
    tagged = Tagged(stream, Walk(demuxer) if demuxer in ("aac", "loas") else None)
    return Placed(_container(tagged, demuxer, stream.name, track), tagged, promised)


def _timed(stream: ByteStream, form: Format, track: int | None) -> Reader:
    head = stream.peek(HEAD)
    if form.demuxer == "mov" and not stream.can_seek and index_comes_first(head):
        return Chain(stream, "mov", track)
    promised = caf_seconds(head) if form.demuxer == "caf" else None
    windows = parts(_seekable(stream), form.demuxer) if form.demuxer in SEEKING else [stream]
    first, *others = (partial(_container, each, form.demuxer, stream.name, track) for each in windows)
    return Joined(Timed(first(), promised), others)


def _seekable(stream: ByteStream) -> Any:
    """A file object with the recording, without the junk before it, which was read."""
    begin, file = stream.position, stream.as_seekable()
    return Window(file, begin, file.seek(0, io.SEEK_END)) if begin and stream.can_seek else file


def _container(
    file: Any, demuxer: str, name: str, track: int | None = None, options: dict[str, str] | None = None
) -> "Container":
    from .container import Container

    return Container(file, demuxer, name, track, options)


class Timed:
    """Sound whose packets have times."""

    def __init__(self, container: "Container", promised: float | None = None) -> None:
        """`promised`: seconds by the header, where FFmpeg does not know them."""
        self._container, self.losses = container, container.losses
        self.seconds = container.seconds if promised is None else promised
        self.heard = 0.0
        """Seconds so far."""

    def __iter__(self) -> Sound:
        """(samples [n, channels], samples a second), silence included where some are missing."""
        for samples, rate in self._container.sound():
            self.heard += len(samples) / rate
            yield samples, rate
        if self.seconds is not None:
            self.losses.tail(self.seconds - self.heard)


class Placed:
    """Sound whose packets have no times: MPEG audio, AAC without a container and the like."""

    def __init__(self, container: "Container", tags: "Tagged", promised: Promise | None) -> None:
        """`promised`: by the header of the first frame."""
        self._container, self._tags, self.losses = container, tags, container.losses
        self._promised = promised
        self.seconds = promised.seconds if promised else None

    def __iter__(self) -> Sound:
        """(samples [n, channels], samples a second)."""
        from .gaps import PlacedGaps

        heard, gaps = 0.0, PlacedGaps(self.losses, self._tags)
        for samples, rate in self._container.sound(gaps):
            heard += len(samples) / rate
            yield samples, rate
        gaps.finish()
        if self._promised:
            size = self._promised.bytes
            complete = size is not None and self._tags.length >= size
            self.losses.settle(self._promised.seconds, heard, complete)


class Joined:
    """A recording, and others behind it in the same file."""

    def __init__(self, first: Timed, others: "Sequence[Callable[[], Container]]") -> None:
        """`others` open the containers behind the first."""
        self._first, self._others = first, others
        self.seconds, self.losses = first.seconds, first.losses

    def __iter__(self) -> Sound:
        """(samples [n, channels], samples a second), silence included where some are missing."""
        yield from self._first
        bad = 0
        for opened in self._others:
            try:
                following = Timed(opened())
            except AudioError:  # the next one may be whole
                self.losses.cut, bad = True, bad + 1
                if bad == MOST_BAD_LINKS:
                    return
                continue
            yield from following
            self.losses.add(following.losses)


class Chain:
    """Recordings one after another, each with its own header, and maybe of another codec or rate."""

    def __init__(self, stream: ByteStream, demuxer: str, track: int | None) -> None:
        self._stream, self._demuxer, self._track, self.losses = stream, demuxer, track, Losses()
        self._first = self._open()
        self.seconds = self._first.seconds

    def _open(self) -> Timed:
        self._begin, self._link = self._stream.position, LINKS[self._demuxer](self._stream)
        return Timed(_container(self._link, self._demuxer, self._stream.name, self._track))

    def __iter__(self) -> Sound:
        """(samples [n, channels], samples a second), silence included where some are missing."""
        yield from self._sound(self._first)
        bad = 0
        while self._stream.peek(1):
            try:
                following = self._open()
            except AudioError:  # the next one may be whole
                self.losses.cut, bad = True, bad + 1
                if bad == MOST_BAD_LINKS:
                    return
                self._link.skip()
                continue
            yield from self._sound(following)

    def _sound(self, recording: Timed) -> Sound:
        yield from recording
        self.losses.add(recording.losses)
        self._link.skip()
        silent = not recording.heard and self._stream.position - self._begin > LONGEST_EMPTY
        self.losses.cut |= silent or not self._link.is_complete


class Waves:
    """A WAV, and others behind it."""

    def __init__(self, stream: ByteStream, track: int | None) -> None:
        self._stream, self._track, self.losses = stream, track, Losses()
        self._header = read_header(stream)
        self._first = self._open()
        self.seconds = self._first.seconds

    def _open(self) -> Reader:
        header, name = self._header, self._stream.name
        self._body = Prefixed(b"" if header.layout.is_plain else header.rebuilt(), self._stream, header.size)
        if header.layout.is_plain:
            return _only(Samples(self._body, header.layout, header.size), name, self._track)
        return Timed(_container(self._body, "wav", name, self._track), header.seconds)

    def __iter__(self) -> Sound:
        """(samples [n, channels], samples a second), as they come. Raises AudioError."""
        yield from self._sound(self._first)
        while header := self._following():
            self._header = header
            try:
                recording = self._open()
            except AudioError:  # the next one may be whole
                self.losses.cut = True
                self._body.skip()
            else:
                yield from self._sound(recording)

    def _sound(self, recording: Reader) -> Sound:
        yield from recording
        self.losses.add(recording.losses)
        self._body.skip()

    def _following(self) -> Header | None:
        try:
            return following(self._stream, self._header)
        except AudioError:  # cut short in its header
            self.losses.cut = True
            return None


class Prefixed:
    """A file object with some bytes before a part of a stream."""

    def __init__(self, prefix: bytes, stream: ByteStream, size: float) -> None:
        """`size`: bytes of the part; infinite: to the end."""
        self._prefix, self._stream, self._left = prefix, stream, size

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end. Raises AudioError."""
        if self._prefix:
            data, self._prefix = self._prefix[:n], self._prefix[n:]
            return data
        if not self._left:  # a pipe may stay open
            return b""
        data = self._stream.read(int(min(n, self._left)))
        self._left -= len(data)
        return data

    def skip(self) -> None:
        """Go to the end of the part."""
        self._prefix = b""
        while self.read(CHUNK):
            pass
