"""What a recording is, by its first bytes. A new container is a line in MAGICS; nothing else is ever opened.

FFmpeg's own guess is not used: it knows 370 formats, among them playlists that open other files, takes raw
samples or text for odd ones, and reads 5 MB of a live stream before it gives up.
"""

import codecs
from dataclasses import dataclass

import numpy as np

from voxrun.arrays import Array
from voxrun.errors import AudioError

from .bytestream import ByteStream

HEAD = 1 << 12
"""Bytes that identify most containers."""
NEAR, FAR = 1 << 13, 1 << 20
"""Bytes in which the first frame may lie behind junk: of what may be raw samples (0.26 s of speech, which a
live stream waits for), of anything else."""
MOST_TAGS = 1000
QUIET, SILENT = 1e-3, 1e-5
"""Powers: below -30 dB anything may be samples, such as hiss; below -50 dB nothing can be told."""
STRETCH = 512
"""Samples: 32 ms."""
MOST_CHANGE = 1.0
"""Power of the differences of neighbouring samples to their own: 2 in data and noise, below 1 in a voice."""

MAGICS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"OggS", "ogg"),
    (0, b"fLaC", "flac"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    *((4, kind, "mov") for kind in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"FLV\x01", "flv"),
    (0, b"#!AMR\n", "amr"),
    (0, b"#!AMR-WB\n", "amr"),
    (0, b"caff", "caf"),
    (0, b".snd", "au"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (0, b"\x0b\x77", "ac3"),
    (0, b"\x7f\xfe\x80\x01", "dts"),
    (0, b"\x00\x00\x01\xba", "mpeg"),
    (0, b"wvpk", "wv"),
    (0, b"MAC ", "ape"),
    (0, b"TTA1", "tta"),
    (0, b"tBaK", "tak"),
    (0, b"MPCK", "mpc8"),
    (0, b"MP+", "mpc"),
    (0, b"Creative Voice File", "voc"),
    (0, b"NIST_1A", "nistsphere"),
    (0, b".RMF", "rm"),
    (0, b"DSD ", "dsf"),
    (0, b"FRM8", "iff"),
    (0, b"qoaf", "qoa"),
    (0, b"\x64\xa3\x01\x00", "ircam"),
    (0, b"\x64\xa3\x02\x00", "ircam"),
)
"""(where, which bytes, FFmpeg's name of the container)."""
FORMS = {
    (b"RIFF", b"WAVE"): "wav",
    (b"RIFX", b"WAVE"): "wav",
    (b"RF64", b"WAVE"): "wav",
    (b"RIFF", b"AVI "): "avi",
    (b"FORM", b"AIFF"): "aiff",
    (b"FORM", b"AIFC"): "aiff",
    (b"FORM", b"8SVX"): "iff",
}
"""IFF-like containers: first four bytes, and those from the eighth on."""
SEEKING = {"mov", "caf", "aiff", "avi", "rm", "mpc8", "wv"}
"""Containers that may keep behind the sound what is needed to decode it."""
UNTIMED = {"mp3", "aac", "loas", "ac3", "dts"}
"""Formats whose packets have no time of their own: what is missing shows in bytes only."""
OTHERS = (
    (b"\x7fELF", "a program"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"BZh91AY", "bzip2"),
    (b"\xfd7zXZ", "xz"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
    (b"SQLite format 3", "a database"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"%PDF", "PDF"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"MThd", "MIDI, which has no sound"),
)
"""First bytes of what is often given by mistake, and its name."""
TEXTS = (
    (b"<", "XML or HTML"),
    (b"{", "JSON"),
    (b"#EXTM3U", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"version https://git-lfs", "a Git LFS pointer (git lfs pull fetches the file)"),
)
"""The same of texts."""


@dataclass(frozen=True)
class Format:
    """A recording's container, or raw samples."""

    demuxer: str
    """FFmpeg's name; `raw`: samples without a header."""
    junk: int = 0
    """Bytes before it."""


def recognise(stream: ByteStream, guess_raw: bool) -> Format:
    """What this stream is; nothing of it but tags before it is consumed.

    `guess_raw`: take what nothing else fits, and what looks like 16-bit samples, for raw samples.
    Raises AudioError for what is no sound.
    """
    head = stream.peek(HEAD)
    if not head:
        raise AudioError(f"{stream.name}: the recording is empty")
    if head[:3] == b"ID3":
        return _behind_tags(stream)
    if demuxer := _by_magic(head):
        return Format(demuxer)
    if demuxer := _by_frames(head):
        return Format(demuxer)
    if other := _other(head):
        if found := _behind_junk(stream, FAR):
            return found
        raise AudioError(f"{stream.name}: cannot be read as audio (this is {other})")
    if found := _behind_junk(stream, NEAR):
        return found
    if guess_raw and looks_like_samples(stream.peek(NEAR)):
        return Format("raw")
    if found := _behind_junk(stream, FAR):
        return found
    raise AudioError(
        f"{stream.name}: cannot be read as audio (no known format; samples without a header need"
        " --raw CODEC:RATE, in Python raw=, such as s16le:16000)"
    )


def _other(head: bytes) -> str | None:
    """What else a stream is known to be; a few bytes could be samples too, but not a text of them."""
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head[4:10] == b'\0\0\0\0{"':
        return "weights in safetensors"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and _is_printable(head.decode("utf-16", "replace")[:200]):
        return "text in UTF-16"
    if other := next((name for magic, name in OTHERS if head.startswith(magic)), None):
        return other
    if not _is_text(head):
        return None
    return next((name for magic, name in TEXTS if head.lstrip().startswith(magic)), "text")


def _by_magic(head: bytes) -> str | None:
    form = FORMS.get((head[:4], head[8:12]))
    found = form or next((name for at, magic, name in MAGICS if head.startswith(magic, at)), None)
    return None if found == "mov" and _is_text(head) else found  # "The free ..."


def _by_frames(head: bytes) -> str | None:
    from .sync import SYNCS, frames_at  # most containers need it not

    return next((name for name in SYNCS if frames_at(head, 0, name)), None)


def _behind_tags(stream: ByteStream) -> Format:
    """The format behind ID3v2 tags, which are consumed."""
    for _ in range(MOST_TAGS):
        size = id3_size(stream.peek(10))
        if not size:
            break
        stream.skip(size)
    head = stream.peek(HEAD)
    return Format(_by_magic(head) or _by_frames(head) or "mp3")


def id3_size(head: bytes) -> int:
    """Bytes of the ID3v2 tag that begins here, 0 if none does."""
    if len(head) < 10 or head[:3] != b"ID3" or max(head[3:5]) == 255 or max(head[6:10]) > 127:
        return 0
    footer = 10 if head[5] & 16 else 0
    return 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]) + footer


def _behind_junk(stream: ByteStream, most: int) -> Format | None:
    from .sync import first_frames

    found = first_frames(stream.peek(most))
    return Format(*found) if found else None


def looks_like_samples(head: bytes) -> bool:
    """Whether bytes may be 16-bit samples.

    They are if they are quiet, or if in any 32 ms each sample is near the one before it, as in a voice; never
    so in data, compressed sound and text.
    """
    if _is_text(head):
        return False
    samples = np.frombuffer(head[: len(head) // 2 * 2], "<i2").astype(np.float64) / 2**15
    if len(samples) < 2 or float(np.mean(samples**2)) < QUIET:
        return True
    stretches = (samples[start : start + STRETCH] for start in range(0, len(samples) - 1, STRETCH))
    return any(_is_smooth(stretch) for stretch in stretches)


def _is_smooth(samples: Array) -> bool:
    power = float(np.mean(samples**2))
    return power > SILENT and float(np.mean(np.diff(samples) ** 2)) < MOST_CHANGE * power


def _is_printable(text: str) -> bool:
    return "".join(text.split()).isprintable()


def _is_text(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head
