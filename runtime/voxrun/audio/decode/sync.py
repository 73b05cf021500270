"""MPEG audio and AAC frames by their headers: for streams that begin with nothing else, and for their length.

A frame header says how long its frame is, so that several in a row are no coincidence.
Sources: ISO/IEC 11172-3 and 13818-3 (MPEG audio), 14496-3 (ADTS, LOAS), the encoders' Xing, LAME and VBRI
headers.
"""

from dataclasses import dataclass

WALK_AHEAD = 1 << 15
"""Bytes that are looked at before a frame counts: four of the longest."""
SIDE_INFORMATION = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}
"""Bytes between the header of a Layer III frame and a Xing header, by (MPEG 1, mono)."""
FRAMES = 4
"""Frames in a row that identify a stream."""
BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Kilobits a second by (MPEG 1 or 2, layer) and the header's index."""
RATES = (44100, 48000, 32000)
"""Samples a second of MPEG 1 by the header's index; half of it for MPEG 2, a quarter for 2.5."""


@dataclass(frozen=True)
class MpegFrame:
    """The header of an MPEG audio frame (MP1, MP2, MP3)."""

    version: float
    """1, 2 or 2.5."""
    layer: int
    rate: int
    mono: bool
    size: int
    """Bytes of the whole frame."""

    @classmethod
    def at(cls, data: bytes, start: int = 0) -> "MpegFrame | None":
        """The header at `start`, if there is one."""
        head = data[start : start + 4]
        if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
            return None
        version = {0: 2.5, 2: 2, 3: 1}.get(head[1] >> 3 & 3)
        layer = {1: 3, 2: 2, 3: 1}.get(head[1] >> 1 & 3)
        bitrate, rate, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
        if version is None or layer is None or bitrate in (0, 15) or rate == 3:
            return None
        kilobits = BITRATES[min(int(version), 2), layer][bitrate]
        hertz = RATES[rate] // {1: 1, 2: 2, 2.5: 4}[version]
        unit = 4 if layer == 1 else 1
        samples = cls._samples(version, layer)
        size = (samples // 8 // unit * kilobits * 1000 // hertz + padding) * unit
        return cls(version, layer, hertz, head[3] >> 6 == 3, size)

    @property
    def samples(self) -> int:
        """Samples of each channel in one frame."""
        return self._samples(self.version, self.layer)

    @staticmethod
    def _samples(version: float, layer: int) -> int:
        return 384 if layer == 1 else 576 if layer == 3 and version != 1 else 1152


def _mpeg_size(data: bytes, start: int) -> int:
    frame = MpegFrame.at(data, start)
    return frame.size if frame else 0


def _adts_size(data: bytes, start: int) -> int:
    head = data[start : start + 6]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or head[2] >> 2 & 15 > 12:
        return 0
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size > 7 else 0


def _loas_size(data: bytes, start: int) -> int:
    head = data[start : start + 3]
    if len(head) < 3 or head[0] != 0x56 or head[1] & 0xE0 != 0xE0:
        return 0
    return 3 + ((head[1] & 0x1F) << 8 | head[2])


def _ts_size(data: bytes, start: int) -> int:
    return 188 if data[start : start + 1] == b"\x47" else 0


SYNCS = {
    "mp3": (0xFF, _mpeg_size),
    "aac": (0xFF, _adts_size),
    "loas": (0x56, _loas_size),
    "mpegts": (0x47, _ts_size),
}
"""First byte of a frame, and its size by its header (0: none), by FFmpeg's name of the format."""


def frames_at(data: bytes, start: int, demuxer: str) -> bool:
    """Whether several frames of this format follow one another from `start`; fewer if the data ends."""
    _, size_of = SYNCS[demuxer]
    count = 0
    while count < FRAMES and start < len(data):
        if not (size := size_of(data, start)):
            return False
        start += size
        count += 1
    return count == FRAMES or (count > 1 and start == len(data))


def first_frames(data: bytes) -> tuple[str, int] | None:
    """The format whose frames come first anywhere in these bytes, and where."""
    found = [(start, demuxer) for demuxer in SYNCS if (start := _first(data, demuxer)) is not None]
    return (min(found)[1], min(found)[0]) if found else None


def _first(data: bytes, demuxer: str) -> int | None:
    mark = SYNCS[demuxer][0]
    start = data.find(mark)
    while start >= 0:
        if frames_at(data, start, demuxer):
            return start
        start = data.find(mark, start + 1)
    return None


class Walk:
    """Follows the frames of a stream by their headers, and notes what lies between them."""

    def __init__(self, demuxer: str) -> None:
        self._demuxer, (_, self._size_of) = demuxer, SYNCS[demuxer]
        self._buffer, self._at = b"", 0
        self._lost: int | None = 0  # where the frames were lost; None while they are followed
        self.skipped: list[tuple[int, int]] = []
        """Where bytes that are no frames begin and end, with frames behind them."""

    def feed(self, data: bytes) -> None:
        """The stream's next bytes; none at its end."""
        self._buffer += data
        done, ahead = 0, WALK_AHEAD if data else 1
        while len(self._buffer) - done >= ahead:
            size = self._size_of(self._buffer, done) if self._lost is None else 0
            done = done + size if size else self._search(done, ahead)
        self._buffer, self._at = self._buffer[done:], self._at + done

    def _search(self, done: int, ahead: int) -> int:
        """Look for frames from here on; returns how far the bytes are known."""
        if self._lost is None:
            self._lost = self._at + done
        start = _first(self._buffer[done:], self._demuxer)
        if start is None:
            return len(self._buffer) - ahead + 1
        if self._at + done + start > self._lost > 0:
            self.skipped.append((self._lost, self._at + done + start))
        self._lost = None
        return done + start


@dataclass(frozen=True)
class Promise:
    """What the header in an MPEG stream's first frame says of the whole stream."""

    seconds: float
    """Without the encoder's padding."""
    bytes: int | None
    """None if it does not say."""


def mpeg_promise(data: bytes) -> Promise | None:
    """The promise of a Xing, Info or VBRI header; `data` begins with the first frame.

    None if it has no such header, as when the encoder wrote into a pipe.
    """
    frame = MpegFrame.at(data)
    if frame is None:
        return None
    side = SIDE_INFORMATION[frame.version == 1, frame.mono]
    return _xing(data[4 + side :], frame) or _vbri(data[36:], frame)


def _xing(data: bytes, frame: MpegFrame) -> Promise | None:
    if data[:4] not in (b"Xing", b"Info") or len(data) < 16 or not data[7] & 1:
        return None
    frames, at, size = int.from_bytes(data[8:12], "big"), 12, None
    if data[7] & 2:
        size, at = int.from_bytes(data[at : at + 4], "big"), at + 4
    lame = data[at + 100 * bool(data[7] & 4) + 4 * bool(data[7] & 8) :][:24]
    padding = 0
    if lame[:4] in (b"LAME", b"Lavf", b"Lavc") and len(lame) == 24:
        delays = int.from_bytes(lame[21:24], "big")
        padding = (delays >> 12) + (delays & 0xFFF)
    seconds = max(0, frames * frame.samples - padding) / frame.rate
    return Promise(seconds, size) if frames else None


def _vbri(data: bytes, frame: MpegFrame) -> Promise | None:
    if data[:4] != b"VBRI" or len(data) < 18:
        return None
    size, frames = int.from_bytes(data[10:14], "big"), int.from_bytes(data[14:18], "big")
    return Promise(frames * frame.samples / frame.rate, size) if frames else None
