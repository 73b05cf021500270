"""Recordings behind one another in one file, as `cat` and live streams leave them."""

import numpy as np

from .boxes import index_first
from .encode import by_libsndfile, encoded
from .formats import SOUND
from .mpeg import ape, bare, id3v1, id3v2, lyrics, mp3
from .recording import exact, lossy
from .riff import form, pcm16, wav
from .sounds import at_rate, in_channels, other

OTHER = other()
BOTH = np.concatenate([SOUND, OTHER])
TWICE = 0.3
"""Padding of two recordings."""


def flac(sound: np.ndarray, rate: int = 16000, **how: object) -> bytes:
    """16-bit FLAC."""
    return encoded("flac", "flac", sound, rate=rate, form="s16", **how)  # type: ignore[arg-type]


def vorbis(sound: np.ndarray, rate: int = 16000) -> bytes:
    """Ogg Vorbis."""
    return by_libsndfile(sound, "OGG", "VORBIS", rate)


def each(container: str, codec: str, **how: object) -> bytes:
    """Both sounds in a container, joined."""
    return b"".join(encoded(container, codec, sound, **how) for sound in (SOUND, OTHER))  # type: ignore[arg-type]


def in_fragments(sound: np.ndarray) -> bytes:
    """M4A as live streams have it."""
    fragments = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
    return encoded("mp4", "aac", sound, muxer=fragments)


def opus(sound: np.ndarray) -> bytes:
    """Ogg Opus."""
    return encoded("ogg", "libopus", sound)


ALL = [
    lossy("chained-vorbis", "two Ogg Vorbis joined", lambda: vorbis(SOUND) + vorbis(OTHER), BOTH, 0.03),
    lossy("chained-opus", "two Ogg Opus joined", lambda: opus(SOUND) + opus(OTHER), BOTH, 0.02),
    lossy("chained-ogg-flac", "two Ogg FLAC joined", lambda: each("ogg", "flac", form="s16"), BOTH, 0),
    lossy("chained-codecs", "Vorbis and Opus joined in Ogg", lambda: vorbis(SOUND) + opus(OTHER), BOTH, 0.02),
    lossy(
        "chained-rates",
        "Vorbis of 16 and 44.1 kHz, joined",
        lambda: vorbis(SOUND) + vorbis(in_channels(at_rate(OTHER, 44100), 2), 44100),
        BOTH,
        0.02,
    ),
    exact("flac-joined", "two FLAC joined", lambda: flac(SOUND) + flac(OTHER), BOTH),
    exact(
        "flac-joined-pipe",
        "two FLAC of unknown length",
        lambda: flac(SOUND, pipe=True) + flac(OTHER, pipe=True),
        BOTH,
    ),
    exact(
        "flac-joined-tag",
        "two FLAC with tags between",
        lambda: flac(SOUND) + id3v1() + id3v2(1000) + flac(OTHER),
        BOTH,
    ),
    lossy(
        "flac-joined-rates",
        "FLAC of 16 and 44.1 kHz stereo, joined",
        lambda: flac(SOUND) + flac(in_channels(at_rate(OTHER, 44100), 2), 44100),
        BOTH,
        0.01,
    ),
    lossy("mp3-joined", "two MP3 joined, each with Xing", lambda: mp3(SOUND) + mp3(OTHER), BOTH, TWICE),
    lossy("mp3-joined-bare", "two MP3 joined, no headers", lambda: bare(SOUND) + bare(OTHER), BOTH, TWICE),
    lossy(
        "mp3-joined-tags",
        "two MP3 with ID3v1, lyrics, APE and a cover of 1 MB between",
        lambda: mp3(SOUND) + lyrics() + id3v1() + ape() + id3v2(1 << 20) + mp3(OTHER),
        BOTH,
        TWICE,
    ),
    lossy("aac-joined", "two AAC joined", lambda: each("adts", "aac"), BOTH, TWICE),
    exact("wav-joined", "two WAV joined", lambda: wav(pcm16(SOUND)) + wav(pcm16(OTHER)), BOTH),
    lossy(
        "wav-joined-rates",
        "WAV of 16 and 44.1 kHz stereo, joined",
        lambda: (
            wav(pcm16(SOUND))
            + wav(pcm16(in_channels(at_rate(OTHER, 44100), 2)), fmt=form(channels=2, rate=44100))
        ),
        BOTH,
        0.01,
    ),
    lossy("ts-joined", "two transport streams joined", lambda: each("mpegts", "aac"), BOTH, TWICE),
    lossy("webm-joined", "two WebM joined", lambda: each("webm", "libopus", pipe=True), BOTH, 0.05),
    lossy("mkv-joined", "two Matroska joined", lambda: each("matroska", "pcm_s16le"), BOTH, 0.01),
    lossy("m4a-joined", "two M4A joined", lambda: each("ipod", "aac"), BOTH, TWICE),
    lossy(
        "amr-joined",
        "two AMR joined",
        lambda: b"".join(
            encoded("amr", "libopencore_amrnb", at_rate(sound, 8000), rate=8000) for sound in (SOUND, OTHER)
        ),
        BOTH,
        TWICE,
    ),
    lossy("mp2-joined", "two MPEG layer 2 joined", lambda: each("mp2", "mp2"), BOTH, TWICE),
    exact("aiff-joined", "two AIFF joined", lambda: each("aiff", "pcm_s16be"), BOTH),
    lossy("au-joined", "two AU joined", lambda: each("au", "pcm_s16be"), BOTH, 0.002),
    exact("caf-joined", "two CAF joined", lambda: each("caf", "pcm_s16le"), BOTH),
    lossy("flv-joined", "two Flash videos joined", lambda: each("flv", "aac"), BOTH, TWICE),
    lossy("wma-joined", "two WMA joined", lambda: each("asf", "wmav2", options={"b": "32000"}), BOTH, TWICE),
    exact("voc-joined", "two VOC joined", lambda: each("voc", "pcm_s16le"), BOTH),
    exact("tta-joined", "two True Audio joined", lambda: each("tta", "tta", form="s16"), BOTH),
    exact("wavpack-joined", "two WavPack joined", lambda: each("wv", "wavpack", form="s16p"), BOTH),
    exact("avi-joined", "two AVI joined", lambda: each("avi", "pcm_s16le"), BOTH),
    exact(
        "w64-joined",
        "two Wave64 joined",
        lambda: b"".join(by_libsndfile(sound, "W64", "PCM_16") for sound in (SOUND, OTHER)),
        BOTH,
    ),
    lossy(
        "wav-joined-codecs",
        "WAV of 16 bits, mu-law and Microsoft ADPCM, joined",
        lambda: wav(pcm16(SOUND)) + by_libsndfile(OTHER, "WAV", "ULAW") + encoded("wav", "adpcm_ms", SOUND),
        np.concatenate([BOTH, SOUND]),
        TWICE,
    ),
    lossy(
        "m4a-first-joined",
        "two M4A joined, index in front",
        lambda: b"".join(index_first(encoded("ipod", "aac", sound)) for sound in (SOUND, OTHER)),
        BOTH,
        TWICE,
    ),
    lossy(
        "m4a-fragments-joined",
        "two M4A in fragments, joined",
        lambda: in_fragments(SOUND) + in_fragments(OTHER),
        BOTH,
        TWICE,
    ),
]
