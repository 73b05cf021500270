"""PCM and FLAC give the very samples that libsndfile gives, so that greedy tokens do not depend on the decoder."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from committed import CLIPS
from recordings.encode import by_libsndfile
from recordings.mpeg import id3v2

from voxrun.audio.file import FileSource
from voxrun.audio.opened import open_audio

RATE = 16000
FORMS = {
    **{f"WAV-{width}": ("WAV", width) for width in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")},
    **{f"WAVEX-{width}": ("WAVEX", width) for width in ("PCM_16", "PCM_24", "FLOAT")},
    **{f"{form}-{width}": (form, width) for form in ("W64", "RF64", "CAF") for width in ("PCM_16", "PCM_24", "FLOAT")},
    **{f"AIFF-{width}": ("AIFF", width) for width in ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")},
    **{f"AU-{width}": ("AU", width) for width in ("PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "ULAW", "ALAW")},
    **{f"WAV-{law}": ("WAV", law) for law in ("ULAW", "ALAW")},
    **{f"FLAC-{width}": ("FLAC", width) for width in ("PCM_S8", "PCM_16", "PCM_24")},
}
"""libsndfile's names of formats and widths."""


def by_soundfile(data: bytes) -> np.ndarray:
    """What voxrun read before FFmpeg: float32, channels averaged, resampled as a stream."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1, dtype=np.float32)
    return mono if rate == RATE else soxr.resample(mono, rate, RATE, quality="HQ")


def heard(data: bytes) -> np.ndarray:
    return np.concatenate(list(open_audio(data, RATE)))


def sound(rate: int, channels: int) -> np.ndarray:
    """Loud noise of 0.7 s, with both extremes."""
    samples = np.random.default_rng(rate + channels).uniform(-1, 1, (rate * 7 // 10, channels))
    samples[0], samples[1] = -1, 1
    return samples.astype(np.float32)


@pytest.mark.parametrize("clip", sorted(CLIPS.glob("*/*.flac")), ids=lambda path: path.stem)
def test_committed_clips(clip: Path) -> None:
    """As a file, where the short ones are read by libsndfile itself, and through FFmpeg, behind a tag."""
    data = clip.read_bytes()
    expected = by_soundfile(data)
    assert np.array_equal(np.concatenate(list(FileSource(clip, RATE))), expected)
    assert np.array_equal(heard(id3v2(10) + data), expected)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("name", FORMS)
def test_every_width(name: str, channels: int) -> None:
    data = by_libsndfile(sound(RATE, channels), *FORMS[name])
    assert np.array_equal(heard(data), by_soundfile(data))


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("form", [("WAV", "PCM_16"), ("FLAC", "PCM_24"), ("AIFF", "PCM_24")])
def test_every_rate(form: tuple[str, str], rate: int) -> None:
    data = by_libsndfile(sound(rate, 2), *form, rate)
    ours, theirs = heard(data), by_soundfile(data)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-6  # of another division into blocks: 0 as measured
