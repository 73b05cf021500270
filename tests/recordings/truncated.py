"""Recordings that end before their end: a full disk, a stopped download, an empty battery."""

from .boxes import index_first
from .damaged import SECONDS, SOUND, long, m4a
from .encode import by_libsndfile
from .joined import flac, opus, vorbis
from .mpeg import VBR, bare, mp3
from .recording import ANY, Make, Recording, partial, refused
from .riff import form, pcm16, rf64, wav
from .sounds import in_channels

SHARE = 0.7


def cut(make: Make, share: float = SHARE) -> Make:
    """The first part of the bytes."""
    return lambda: (lambda data: data[: int(len(data) * share)])(make())


def shorter(name: str, about: str, make: Make, known: bool = True, within: float = 0.35) -> Recording:
    """Cut: what is missing is told in seconds if the header tells how long it was."""
    lost = SECONDS * (1 - SHARE) if known else ANY
    return partial(name, about, cut(make), SECONDS * SHARE, within, lost)


def first(make: Make, n: int) -> Make:
    """The first bytes."""
    return lambda: make()[:n]


def data_only(n: int) -> bytes:
    """WAV whose sound breaks off within a frame."""
    return wav(pcm16(in_channels(SOUND, 2)), fmt=form(channels=2))[:n]


ALL = [
    shorter("wav-cut", "WAV cut at 70 %", lambda: wav(pcm16(SOUND)), within=0.01),
    shorter("wav-float-cut", "float WAV cut at 70 %", lambda: by_libsndfile(SOUND, "WAV", "FLOAT"), within=0.01),
    shorter("rf64-cut", "RF64 cut at 70 %", lambda: rf64(pcm16(SOUND)), within=0.01),
    shorter("w64-cut", "Wave64 cut at 70 %", lambda: by_libsndfile(SOUND, "W64", "PCM_16"), within=0.01),
    shorter("aiff-cut", "AIFF cut at 70 %", lambda: by_libsndfile(SOUND, "AIFF", "PCM_16"), within=0.01),
    shorter("au-cut", "AU cut at 70 %", lambda: by_libsndfile(SOUND, "AU", "PCM_16"), within=0.01),
    shorter("caf-cut", "CAF cut at 70 %", lambda: by_libsndfile(SOUND, "CAF", "PCM_16"), within=0.2),
    shorter("flac-cut", "FLAC cut at 70 %", lambda: flac(SOUND)),
    shorter("flac-pipe-cut", "FLAC of unknown length cut at 70 %", lambda: flac(SOUND, pipe=True), False),
    shorter("mp3-cut", "MP3 cut at 70 %", lambda: mp3(SOUND)),
    shorter("mp3-bare-cut", "VBR MP3 without Xing cut at 70 %", lambda: bare(SOUND, VBR), False, 0.6),
    shorter("vorbis-cut", "Ogg Vorbis cut at 70 %", lambda: vorbis(SOUND), False, 1.2),
    shorter("opus-cut", "Ogg Opus cut at 70 %", lambda: opus(SOUND), False, 1.2),
    shorter("aac-cut", "AAC cut at 70 %", long("adts", "aac"), False),
    shorter("m4a-first-cut", "M4A, index in front, cut at 70 %", m4a),
    shorter("alac-cut", "Apple Lossless, index in front, cut at 70 %", lambda: index_first(long("ipod", "alac")())),
    shorter(
        "m4a-fragments-cut",
        "M4A in fragments cut at 70 %",
        long("mp4", "aac", muxer={"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}),
        False,
        0.8,
    ),
    shorter("webm-cut", "WebM cut at 70 %", long("webm", "libopus")),
    shorter("mkv-pipe-cut", "Matroska of unknown length cut at 70 %", long("matroska", "pcm_s16le", pipe=True), False),
    shorter("avi-cut", "AVI cut at 70 %", long("avi", "pcm_s16le"), False),
    shorter("wma-cut", "WMA cut at 70 %", long("asf", "wmav2", options={"b": "32000"}), within=0.6),
    shorter("ts-cut", "transport stream cut at 70 %", long("mpegts", "aac"), False, 0.5),
    shorter("tta-cut", "True Audio cut at 70 %", long("tta", "tta", form="s16"), False, within=1.1),
    refused("m4a-cut", "M4A whose index, behind the sound, is missing", cut(long("ipod", "aac"))),
    refused("wav-header", "the header of a WAV", first(lambda: wav(pcm16(SOUND)), 44)),
    refused("wav-half-header", "half the header of a WAV", first(lambda: wav(pcm16(SOUND)), 30)),
    refused("flac-header", "the header of a FLAC", first(lambda: flac(SOUND), 42)),
    refused("mp3-header", "one frame of MP3", first(lambda: bare(SOUND), 144)),
    refused("ogg-header", "the first page of an Ogg", first(lambda: opus(SOUND), 47)),
    refused("webm-header", "the first bytes of a WebM", first(long("webm", "libopus"), 300)),
    refused("m4a-header", "the first bytes of an M4A", first(m4a, 40)),
    refused("wav-one-sample", "a WAV of one sample", lambda: wav(pcm16(SOUND[:1]))),
    refused("wav-no-sample", "a WAV of no sample", lambda: wav(b"")),
    refused("flac-no-sample", "a FLAC of no sample", lambda: by_libsndfile(SOUND[:0], "FLAC", "PCM_16")),
]
