"""Recordings made by the ffmpeg command, which is the yardstick: it tells what is in each."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from .sounds import at_rate, in_channels

RATES = (8000, 16000, 44100, 96000, 192000)
ALWAYS = {"libopus": 48000}
"""Codecs that always give this rate; of the others, a rate that they lack is left out."""
CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}


@dataclass(frozen=True)
class Kind:
    """A container with a codec, as the ffmpeg command makes it."""

    suffix: str
    codec: str
    options: tuple[str, ...] = ()
    lossless: bool = False
    """Whether the samples are kept, so that ours must be ffmpeg's bit for bit."""
    note: str = field(default="", compare=False)

    @property
    def name(self) -> str:
        """For tables."""
        return f"{self.suffix} {self.codec}" + (f", {self.note}" if self.note else "")


KINDS = (
    *(
        Kind("wav", codec, lossless=True)
        for codec in ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le")
    ),
    *(Kind("wav", codec, lossless=True) for codec in ("pcm_f64le", "pcm_alaw", "pcm_mulaw")),
    *(Kind("wav", codec) for codec in ("adpcm_ms", "adpcm_ima_wav")),
    Kind("wav", "pcm_s16le", ("-rf64", "always"), True, "RF64"),
    Kind("w64", "pcm_s16le", lossless=True),
    Kind("aiff", "pcm_s16be", lossless=True),
    Kind("aiff", "pcm_f32be", lossless=True),
    Kind("au", "pcm_s16be", lossless=True),
    Kind("caf", "pcm_s24le", lossless=True),
    Kind("caf", "alac", lossless=True),
    Kind("flac", "flac", lossless=True),
    Kind("ogg", "flac", lossless=True),
    Kind("ogg", "libvorbis"),
    Kind("ogg", "libopus"),
    Kind("mp3", "libmp3lame"),
    Kind("mp3", "libmp3lame", ("-q:a", "6", "-write_xing", "0", "-id3v2_version", "0"), note="VBR, no Xing"),
    Kind("mp2", "mp2"),
    Kind("aac", "aac"),
    Kind("latm", "aac"),
    Kind("m4a", "aac"),
    Kind("m4a", "aac", ("-movflags", "+faststart"), note="index first"),
    Kind("m4a", "alac", lossless=True),
    Kind("mp4", "aac", ("-movflags", "+frag_keyframe+empty_moov"), note="fragments"),
    Kind("mp4", "flac", lossless=True),
    Kind("mov", "pcm_s16le", lossless=True),
    Kind("3gp", "libopencore_amrnb"),
    Kind("amr", "libopencore_amrnb"),
    Kind("webm", "libopus"),
    Kind("webm", "libvorbis"),
    Kind("mkv", "aac"),
    Kind("mkv", "flac", lossless=True),
    Kind("wma", "wmav2"),
    Kind("wma", "wmav1"),
    Kind("avi", "pcm_s16le", lossless=True),
    Kind("avi", "libmp3lame"),
    Kind("flv", "aac"),
    Kind("flv", "libmp3lame"),
    Kind("ts", "aac"),
    Kind("ts", "mp2"),
    Kind("mpg", "mp2"),
    Kind("ac3", "ac3"),
    Kind("eac3", "eac3"),
    Kind("dts", "dca", ("-strict", "-2")),
    Kind("tta", "tta", lossless=True),
    Kind("wv", "wavpack", lossless=True),
    Kind("voc", "pcm_u8", lossless=True),
)


@dataclass(frozen=True)
class Made:
    """A recording, and what ffmpeg hears of it."""

    kind: Kind
    layout: str
    rate: int
    """Samples a second in the file; codecs that lack a rate take another."""
    path: Path
    samples: np.ndarray = field(repr=False)
    """float32 [n, channels] by ffmpeg."""

    @property
    def seconds(self) -> float:
        """Of sound, by ffmpeg."""
        return len(self.samples) / self.rate


def made(kind: Kind, sound: np.ndarray, folder: Path, rates: tuple[int, ...] = RATES) -> Iterator[Made]:
    """The sound in this kind of file, of every layout and rate that the codec takes."""
    for layout, channels in CHANNELS.items():
        for rate in rates:
            path = folder / f"{kind.codec}-{layout}-{rate}.{kind.suffix}"
            if _encode(kind, _source(sound, rate, channels, folder), path):
                found = _decode(path)
                if found is not None and found[1] in (rate, ALWAYS.get(kind.codec)):
                    yield Made(kind, layout, found[1], path, found[0])
                path.unlink()


def _encode(kind: Kind, source: Path, path: Path) -> bool:
    arguments = ["-y", "-i", str(source), "-c:a", kind.codec, *kind.options, str(path)]
    return ffmpeg(*arguments).returncode == 0


def _decode(path: Path) -> tuple[np.ndarray, int] | None:
    """The first sound track, and its rate, by ffmpeg; None if it cannot read its own file."""
    result = ffmpeg("-i", str(path), "-map", "0:a:0", "-c:a", "pcm_f32le", "-f", "wav", "-")
    if result.returncode:
        return None
    data = result.stdout
    start = data.index(b"data") + 8
    channels, rate = int.from_bytes(data[22:24], "little"), int.from_bytes(data[24:28], "little")
    return np.frombuffer(data[start:], "<f4").reshape(-1, channels), rate


def _source(sound: np.ndarray, rate: int, channels: int, folder: Path) -> Path:
    """A WAV of the sound, all channels alike."""
    path = folder / f"source-{rate}-{channels}.wav"
    if not path.exists():
        soundfile.write(path, in_channels(at_rate(sound, rate), channels), rate, subtype="PCM_16")
    return path


def ffmpeg(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run the ffmpeg command."""
    return subprocess.run(
        [executable(), "-v", "error", *arguments], capture_output=True, stdin=subprocess.DEVNULL
    )


@cache
def executable() -> str:
    """The ffmpeg that imageio_ffmpeg brings."""
    import imageio_ffmpeg

    path: str = imageio_ffmpeg.get_ffmpeg_exe()
    return path
