"""Small valid recordings of every container, the seeds of the decoder's fuzzing. Made, not stored."""

from collections.abc import Iterator

import numpy as np
from recordings.encode import by_libsndfile, encoded
from recordings.sounds import RATE, at_rate, in_channels, phrase

SECONDS = 0.4
BY_FFMPEG = {
    "mp3": ("mp3", "libmp3lame", {}),
    "mp3-pipe": ("mp3", "libmp3lame", {"pipe": True}),
    "mp2": ("mp2", "mp2", {}),
    "flac": ("flac", "flac", {"form": "s16"}),
    "flac-pipe": ("flac", "flac", {"form": "s16", "pipe": True}),
    "ogg-opus": ("ogg", "libopus", {}),
    "ogg-flac": ("ogg", "flac", {}),
    "m4a": ("ipod", "aac", {}),
    "m4a-fragments": ("mp4", "aac", {"muxer": {"movflags": "frag_keyframe+empty_moov"}}),
    "alac": ("ipod", "alac", {}),
    "mp4-video": ("mp4", "aac", {"video": True}),
    "mov": ("mov", "pcm_s16le", {}),
    "mov-video": ("mov", "aac", {"video": True}),
    "3gp": ("3gp", "libopencore_amrnb", {"rate": 8000}),
    "aac": ("adts", "aac", {}),
    "latm": ("latm", "aac", {}),
    "webm": ("webm", "libopus", {}),
    "mkv": ("matroska", "flac", {}),
    "mkv-video": ("matroska", "libmp3lame", {"video": True}),
    "mkv-pipe": ("matroska", "pcm_s16le", {"pipe": True}),
    "wav": ("wav", "pcm_s16le", {}),
    "wav-pipe": ("wav", "pcm_s16le", {"pipe": True}),
    "wav-adpcm-ms": ("wav", "adpcm_ms", {}),
    "wav-adpcm-ima": ("wav", "adpcm_ima_wav", {}),
    "wav-mp3": ("wav", "libmp3lame", {}),
    "rf64": ("wav", "pcm_s16le", {"muxer": {"rf64": "always"}}),
    "w64": ("w64", "pcm_s16le", {}),
    "aiff": ("aiff", "pcm_s16be", {}),
    "aifc": ("aiff", "pcm_f32be", {}),
    "caf": ("caf", "pcm_s16le", {}),
    "caf-alac": ("caf", "alac", {}),
    "au": ("au", "pcm_s16be", {}),
    "amr": ("amr", "libopencore_amrnb", {"rate": 8000}),
    "wma": ("asf", "wmav2", {"options": {"b": "32000"}}),
    "wma-1": ("asf", "wmav1", {"options": {"b": "32000"}}),
    "ts": ("mpegts", "aac", {}),
    "ts-mp2": ("mpegts", "mp2", {}),
    "mpeg": ("mpeg", "mp2", {}),
    "flv": ("flv", "libmp3lame", {"rate": 22050}),
    "flv-aac": ("flv", "aac", {}),
    "avi": ("avi", "pcm_s16le", {}),
    "avi-video": ("avi", "libmp3lame", {"video": True}),
    "ac3": ("ac3", "ac3", {"rate": 32000}),
    "eac3": ("eac3", "eac3", {"rate": 32000}),
    "tta": ("tta", "tta", {}),
    "wavpack": ("wv", "wavpack", {}),
    "voc": ("voc", "pcm_u8", {}),
    "nut": ("nut", "pcm_s16le", {}),
}
"""Container and codec of FFmpeg, and arguments of `encoded`."""
BY_LIBSNDFILE = {
    "vorbis": ("OGG", "VORBIS"),
    "ogg-opus-by-libsndfile": ("OGG", "OPUS"),
    "wav-float": ("WAV", "FLOAT"),
    "wav-double": ("WAV", "DOUBLE"),
    "wav-24": ("WAV", "PCM_24"),
    "wav-mulaw": ("WAV", "ULAW"),
    "wav-gsm": ("WAV", "GSM610"),
    "wavex": ("WAVEX", "PCM_16"),
    "flac-24": ("FLAC", "PCM_24"),
    "au-alaw": ("AU", "ALAW"),
    "aiff-24": ("AIFF", "PCM_24"),
    "caf-float": ("CAF", "FLOAT"),
    "ircam": ("IRCAM", "PCM_16"),
    "nist": ("NIST", "PCM_16"),
}
JOINED = ("mp3", "flac", "ogg-opus", "vorbis", "aac", "wav", "ts")


def seeds() -> dict[str, bytes]:
    """All of them, of some thousands of bytes each."""
    made = dict(_made())
    return made | {f"{name}-joined": made[name] * 2 for name in JOINED}


def _made() -> Iterator[tuple[str, bytes]]:
    for name, (container, codec, how) in BY_FFMPEG.items():
        rate = how.get("rate", RATE)
        yield name, encoded(container, codec, _sound(rate), **how)
    for name, (form, subtype) in BY_LIBSNDFILE.items():
        yield name, by_libsndfile(_sound(RATE), form, subtype)
    for container, codec in (
        ("aiff", "pcm_s16be"),
        ("caf", "pcm_s16le"),
        ("mov", "pcm_s16le"),
        ("adts", "aac"),
    ):
        yield f"{container}-8-channels", encoded(container, codec, in_channels(_sound(8000), 8), rate=8000)
    yield "wav-6-channels", by_libsndfile(in_channels(_sound(8000), 6), "WAV", "PCM_16", 8000)


def _sound(rate: int) -> np.ndarray:
    whole = at_rate(phrase(), rate)
    return whole[round(0.3 * rate) : round((0.3 + SECONDS) * rate)]
