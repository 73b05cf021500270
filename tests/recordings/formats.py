"""Whole recordings in every format."""

import functools

import numpy as np

from .boxes import index_first
from .encode import by_libsndfile, encoded
from .recording import Recording, exact, lossy
from .riff import FLOAT, extensible, form, pcm16, rf64, rifx, wav
from .sounds import at_rate, in_channels, phrase

SOUND = phrase()
STEREO = in_channels(SOUND, 2)


def ffmpeg(container: str, codec: str, **how: object) -> functools.partial[bytes]:
    """A maker of the phrase in a container."""
    return functools.partial(encoded, container, codec, SOUND, **how)


def libsndfile(form: str, subtype: str, **how: object) -> functools.partial[bytes]:
    """The same by libsndfile, from the integers: it scales floats by another number."""
    return functools.partial(by_libsndfile, (SOUND * 32768).astype(np.int16), form, subtype, **how)


def eight_bits() -> np.ndarray:
    """The phrase in 8 bits."""
    return np.clip(np.round(SOUND * 128), -128, 127).astype(np.float32) / 128


def pcm8() -> bytes:
    """Unsigned."""
    return (eight_bits() * 128 + 128).astype(np.uint8).tobytes()


def at(rate: int, channels: int = 1) -> Recording:
    """A FLAC of another rate."""
    sound = in_channels(at_rate(SOUND, rate), channels)
    name = f"flac-{rate}" + (f"-{channels}-channels" if channels > 1 else "")
    kind = f"FLAC of {rate} Hz" + (f", {channels} channels" if channels > 1 else "")
    return lossy(name, kind, lambda: encoded("flac", "flac", sound, rate=rate, form="s16"), SOUND, 0.001)


PCM = [
    exact("wav", "WAV, 16 bits", lambda: wav(pcm16(SOUND)), SOUND),
    exact("wav-stereo", "WAV, two channels", lambda: wav(pcm16(STEREO), fmt=form(channels=2)), SOUND),
    exact("wav-8", "WAV, 8 bits", lambda: wav(pcm8(), fmt=form(bits=8)), eight_bits()),
    exact("wav-24", "WAV, 24 bits", libsndfile("WAV", "PCM_24"), SOUND),
    exact("wav-32", "WAV, 32 bits", libsndfile("WAV", "PCM_32"), SOUND),
    exact("wav-float", "WAV, float", lambda: by_libsndfile(SOUND, "WAV", "FLOAT"), SOUND),
    exact(
        "wav-double",
        "WAV, double",
        lambda: wav(SOUND.astype("<f8").tobytes(), fmt=form(FLOAT, bits=64)),
        SOUND,
    ),
    exact("wav-extensible", "WAV, extensible format", lambda: wav(pcm16(SOUND), fmt=extensible()), SOUND),
    exact("rf64", "RF64", lambda: rf64(pcm16(SOUND)), SOUND),
    exact("rifx", "RIFX, big-endian WAV", lambda: rifx(SOUND), SOUND),
    exact("w64", "Wave64", libsndfile("W64", "PCM_16"), SOUND),
    exact("aiff", "AIFF", libsndfile("AIFF", "PCM_16"), SOUND),
    exact("aifc-sowt", "AIFF-C, little-endian", libsndfile("AIFF", "PCM_16", endian="LITTLE"), SOUND),
    exact("aifc-float", "AIFF-C, float", ffmpeg("aiff", "pcm_f32be"), SOUND),
    exact("caf", "CAF", libsndfile("CAF", "PCM_16"), SOUND),
    exact("au", "AU", libsndfile("AU", "PCM_16"), SOUND),
    exact("nist", "NIST Sphere", libsndfile("NIST", "PCM_16"), SOUND),
    exact("mov", "QuickTime, 16 bits", ffmpeg("mov", "pcm_s16le"), SOUND),
    exact("avi", "AVI, 16 bits", ffmpeg("avi", "pcm_s16le"), SOUND),
    exact("mkv-pcm", "Matroska, 16 bits", ffmpeg("matroska", "pcm_s16le"), SOUND),
]


def surround(name: str, container: str, codec: str) -> Recording:
    """Eight channels."""
    sound = in_channels(at_rate(SOUND, 48000), 8)
    about = f"7.1 channels, {codec}"
    return lossy(name, about, lambda: encoded(container, codec, sound, rate=48000), SOUND)


LOSSLESS = [
    exact("flac", "FLAC", ffmpeg("flac", "flac", form="s16"), SOUND),
    exact("flac-24", "FLAC, 24 bits", ffmpeg("flac", "flac", form="s32"), SOUND),
    exact("ogg-flac", "Ogg FLAC", ffmpeg("ogg", "flac", form="s16"), SOUND),
    exact("mkv-flac", "Matroska FLAC", ffmpeg("matroska", "flac", form="s16"), SOUND),
    exact("mp4-flac", "MP4 FLAC", ffmpeg("mp4", "flac", form="s16"), SOUND),
    exact("alac", "Apple Lossless", ffmpeg("ipod", "alac", form="s16p"), SOUND),
    exact("caf-alac", "CAF, Apple Lossless", ffmpeg("caf", "alac", form="s16p"), SOUND),
    exact("tta", "True Audio", ffmpeg("tta", "tta", form="s16"), SOUND),
    exact("wavpack", "WavPack", ffmpeg("wv", "wavpack", form="s16p"), SOUND),
    at(8000),
    at(11025),
    at(44100),
    at(48000, 2),
    at(96000, 6),
    at(192000),
]
LOSSY = [
    lossy("wav-alaw", "WAV, A-law", libsndfile("WAV", "ALAW"), SOUND, 0),
    lossy("wav-mulaw", "WAV, mu-law", libsndfile("WAV", "ULAW"), SOUND, 0),
    lossy("au-mulaw", "AU, mu-law", libsndfile("AU", "ULAW"), SOUND, 0),
    lossy("wav-adpcm-ms", "WAV, Microsoft ADPCM", ffmpeg("wav", "adpcm_ms"), SOUND),
    lossy("wav-adpcm-ima", "WAV, IMA ADPCM", ffmpeg("wav", "adpcm_ima_wav"), SOUND),
    lossy("wav-gsm", "WAV, GSM", lambda: by_libsndfile(at_rate(SOUND, 8000), "WAV", "GSM610", 8000), SOUND),
    lossy("wav-mp3", "WAV, MP3", ffmpeg("wav", "libmp3lame"), SOUND),
    lossy("mp3", "MP3", ffmpeg("mp3", "libmp3lame"), SOUND, 0.02),
    lossy("mp2", "MPEG layer 2", ffmpeg("mp2", "mp2"), SOUND),
    lossy("vorbis", "Ogg Vorbis", libsndfile("OGG", "VORBIS"), SOUND, 0),
    lossy("opus", "Ogg Opus", ffmpeg("ogg", "libopus"), SOUND, 0.001),
    lossy("aac", "AAC (ADTS)", ffmpeg("adts", "aac"), SOUND),
    lossy("latm", "AAC (LATM)", ffmpeg("latm", "aac"), SOUND),
    lossy("m4a", "M4A, index behind", ffmpeg("ipod", "aac"), SOUND),
    lossy("m4a-first", "M4A, index in front", lambda: index_first(ffmpeg("ipod", "aac")()), SOUND),
    lossy(
        "m4a-fragments",
        "M4A in fragments",
        ffmpeg("mp4", "aac", muxer={"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}),
        SOUND,
    ),
    lossy("webm", "WebM", ffmpeg("webm", "libopus"), SOUND, 0.001),
    lossy("webm-pipe", "WebM, length unknown", ffmpeg("webm", "libopus", pipe=True), SOUND, 0.02),
    lossy("amr", "AMR", lambda: encoded("amr", "libopencore_amrnb", at_rate(SOUND, 8000), rate=8000), SOUND),
    lossy(
        "3gp", "3GP, AMR", lambda: encoded("3gp", "libopencore_amrnb", at_rate(SOUND, 8000), rate=8000), SOUND
    ),
    lossy("wma", "WMA", ffmpeg("asf", "wmav2", options={"b": "32000"}), SOUND),
    lossy("ts", "MPEG transport stream", ffmpeg("mpegts", "aac"), SOUND),
    lossy("mpeg", "MPEG program stream", ffmpeg("mpeg", "mp2"), SOUND),
    lossy("flv", "Flash video", ffmpeg("flv", "aac"), SOUND),
    lossy("ac3", "AC-3", lambda: encoded("ac3", "ac3", at_rate(SOUND, 48000), rate=48000), SOUND),
    lossy("eac3", "E-AC-3", lambda: encoded("eac3", "eac3", at_rate(SOUND, 48000), rate=48000), SOUND),
]
SURROUND = [
    surround("flac-7.1", "flac", "flac"),
    surround("aiff-7.1", "aiff", "pcm_s16be"),
    surround("caf-7.1", "caf", "pcm_s16le"),
    surround("mov-7.1", "mov", "pcm_s16le"),
    surround("aac-7.1", "adts", "aac"),
    surround("m4a-7.1", "ipod", "aac"),
    surround("opus-7.1", "ogg", "libopus"),
]
ALL = PCM + LOSSLESS + LOSSY + SURROUND
