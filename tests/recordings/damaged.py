"""Recordings with damage in the middle: the rest is heard, and the seconds that are lost are told."""

from .boxes import index_first
from .encode import encoded
from .joined import flac, opus, vorbis
from .mpeg import VBR, bare, mp3
from .recording import UNKNOWN, Make, Recording, partial
from .sounds import digits

SOUND = digits()
SECONDS = len(SOUND) / 16000
HTML = b"<html><body>" + b"<p>503 please try again later</p>\n" * 60
SHARE = 0.1
"""Of the bytes that are overwritten."""


def zeros(make: Make, share: float = SHARE, at: float = 0.5) -> Make:
    """A part of the bytes is zeros, as a disk or a download leaves it."""

    def damaged() -> bytes:
        data = bytearray(make())
        start, n = int(len(data) * at), int(len(data) * share)
        data[start : start + n] = bytes(n)
        return bytes(data)

    return damaged


def hole(make: Make, share: float = SHARE) -> Make:
    """A part of the bytes is not there."""

    def damaged() -> bytes:
        data = make()
        middle = len(data) // 2
        return data[:middle] + data[middle + int(len(data) * share) :]

    return damaged


def with_html(make: Make) -> Make:
    """An error page of a web server in the middle, as resumed downloads leave it."""

    def damaged() -> bytes:
        data = make()
        at = len(data) * 3 // 4
        return data[:at] + HTML + data[at:]

    return damaged


def flipped(make: Make) -> Make:
    """One bit in the middle."""

    def damaged() -> bytes:
        data = bytearray(make())
        data[len(data) // 2] ^= 1
        return bytes(data)

    return damaged


def flipped_behind(make: Make, every: int = 300) -> Make:
    """A wrong bit every 300 bytes from the middle on."""

    def damaged() -> bytes:
        data = bytearray(make())
        for at in range(len(data) // 2, len(data), every):
            data[at] ^= 0x5A
        return bytes(data)

    return damaged


def headless_middle(data: bytes, start: int, n: int) -> bytes:
    """Three times the same recording; in the header of the second, `n` bytes are overwritten."""
    return data + data[:start] + bytes(n) + data[start + n :] + data


def missing(name: str, about: str, make: Make, seconds: float, within: float = 0.4) -> Recording:
    """So many seconds cannot be heard."""
    return partial(name, about, make, SECONDS - seconds, within, seconds or UNKNOWN)


def m4a() -> bytes:
    """AAC with its index in front."""
    return index_first(encoded("ipod", "aac", SOUND))


def long(container: str, codec: str, **how: object) -> Make:
    """The digits in a container."""
    return lambda: encoded(container, codec, SOUND, **how)  # type: ignore[arg-type]


TENTH = SHARE * SECONDS
ALL = [
    missing("flac-zeros", "FLAC, a tenth zeros", zeros(lambda: flac(SOUND)), TENTH, 0.8),
    missing(
        "flac-pipe-zeros",
        "FLAC of unknown length, a tenth zeros",
        zeros(lambda: flac(SOUND, pipe=True)),
        TENTH,
        0.8,
    ),
    missing("flac-html", "FLAC with an HTML page in it", with_html(lambda: flac(SOUND)), 0),
    missing("flac-hole", "FLAC, a tenth missing", hole(lambda: flac(SOUND)), TENTH, 0.8),
    missing("flac-bit", "FLAC with a wrong bit", flipped(lambda: flac(SOUND)), 0),
    missing("mp3-zeros", "MP3, a tenth zeros", zeros(lambda: mp3(SOUND)), TENTH),
    missing(
        "mp3-bare-zeros", "VBR MP3 without Xing, a tenth zeros", zeros(lambda: bare(SOUND, VBR)), TENTH, 0.6
    ),
    missing("mp3-html", "MP3 with an HTML page in it", with_html(lambda: mp3(SOUND)), 0),
    missing("mp3-bare-html", "MP3 without Xing, with an HTML page in it", with_html(lambda: bare(SOUND)), 0),
    missing("vorbis-zeros", "Ogg Vorbis, a tenth zeros", zeros(lambda: vorbis(SOUND)), TENTH, 1.2),
    missing("opus-zeros", "Ogg Opus, a tenth zeros", zeros(lambda: opus(SOUND)), TENTH, 1.6),
    missing("opus-html", "Ogg Opus with an HTML page in it", with_html(lambda: opus(SOUND)), 0, 1.2),
    missing("ogg-flac-zeros", "Ogg FLAC, a tenth zeros", zeros(long("ogg", "flac", form="s16")), TENTH, 1.6),
    missing("aac-zeros", "AAC, a tenth zeros", zeros(long("adts", "aac")), TENTH),
    missing("aac-html", "AAC with an HTML page in it", with_html(long("adts", "aac")), 0),
    missing("m4a-zeros", "M4A, a tenth zeros", zeros(m4a), TENTH),
    missing(
        "alac-zeros",
        "Apple Lossless, a tenth zeros",
        zeros(lambda: index_first(long("ipod", "alac", form="s16p")())),
        TENTH,
        0.6,
    ),
    missing("webm-zeros", "WebM, a tenth zeros", zeros(long("webm", "libopus")), TENTH, 1.5),
    missing(
        "mkv-html", "Matroska with an HTML page in it", with_html(long("matroska", "libmp3lame")), 0, 2.2
    ),
    missing("ts-zeros", "transport stream, a tenth zeros", zeros(long("mpegts", "aac")), TENTH, 0.6),
    missing("wma-zeros", "WMA, a tenth zeros", zeros(long("asf", "wmav2", options={"b": "32000"})), TENTH, 1),
    partial(
        "opus-half-bad",
        "Ogg Opus, damaged from its middle on",
        flipped_behind(lambda: opus(SOUND)),
        3,
        1.1,
        UNKNOWN,
    ),
    partial(
        "vorbis-half-bad",
        "Ogg Vorbis, damaged from its middle on",
        flipped_behind(lambda: vorbis(SOUND)),
        3,
        1.1,
        UNKNOWN,
    ),
    partial(
        "opus-cut-joined",
        "half an Ogg Opus, and a whole one behind it",
        lambda: (lambda data: data[: len(data) // 2] + data)(opus(SOUND)),
        1.5 * SECONDS,
        1.1,
        UNKNOWN,
    ),
    partial(
        "opus-headless",
        "three Ogg Opus joined, the second without its header",
        lambda: headless_middle(opus(SOUND), 28, 8),
        2 * SECONDS,
        0.1,
        UNKNOWN,
    ),
    partial(
        "flac-headless",
        "three FLAC joined, the second without its header",
        lambda: headless_middle(flac(SOUND), 8, 34),
        2 * SECONDS,
        0.1,
        UNKNOWN,
    ),
]
