"""Recordings of any rate and layout become mono float32 blocks; what cannot be read says so."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from voxrun.audio import FileSource
from voxrun.errors import AudioError
from voxrun.transcriber import Transcriber

RATE = 16000


def noise(n: int, channels: int = 1) -> np.ndarray:
    values = np.random.default_rng(0).normal(0, 0.1, (n, channels)).astype(np.float32)
    return values if channels > 1 else values[:, 0]


def read(path: Path) -> np.ndarray:
    return np.concatenate(list(FileSource(path, RATE)))


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_resampling_block_by_block_equals_soxr_hq_in_one_go(tmp_path: Path, rate: int) -> None:
    path, samples = tmp_path / "long.wav", noise(rate * 25 + 7)  # three blocks
    soundfile.write(path, samples, rate, subtype="FLOAT")
    expected = samples if rate == RATE else soxr.resample(samples, rate, RATE, quality="HQ")
    ours = read(path)
    assert ours.dtype == np.float32
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= 1e-6  # 0 as measured; a seam or a lesser quality costs 1e-3


@pytest.mark.parametrize("rate", [16000, 48000])
def test_channels_are_averaged(tmp_path: Path, rate: int) -> None:
    samples = noise(rate, channels=2)
    soundfile.write(tmp_path / "stereo.wav", samples, rate, subtype="FLOAT")
    soundfile.write(tmp_path / "mono.wav", (samples[:, 0] + samples[:, 1]) / 2, rate, subtype="FLOAT")
    ours = read(tmp_path / "stereo.wav")
    assert len(ours) == RATE
    assert np.array_equal(ours, read(tmp_path / "mono.wav"))


@pytest.mark.parametrize(("suffix", "tolerance"), [("wav", 4e-5), ("flac", 4e-5), ("ogg", 0.02)])
def test_formats(tmp_path: Path, suffix: str, tolerance: float) -> None:
    path, tone = tmp_path / f"recording.{suffix}", 0.5 * np.sin(np.arange(RATE) / 10)
    soundfile.write(path, tone, RATE)
    assert FileSource(path, RATE).seconds == 1.0
    assert np.abs(read(path) - tone).max() < tolerance  # 16 bits; vorbis is lossy


def test_a_long_recording_comes_in_blocks(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", noise(RATE * 25), RATE)
    assert [len(block) for block in FileSource(tmp_path / "long.wav", RATE)] == [160000, 160000, 80000]


def not_audio(path: Path) -> None:
    path.write_text("no sound in here " * 100, encoding="utf-8")


def no_bytes(path: Path) -> None:
    path.write_bytes(b"")


def no_samples(path: Path) -> None:
    soundfile.write(path, noise(0), RATE, format="WAV")


def nothing(path: Path) -> None:
    assert not path.exists()


def folder(path: Path) -> None:
    path.mkdir()


def with_nan(path: Path) -> None:
    write_with(path, [np.nan, 0.0])


def with_infinity(path: Path) -> None:
    write_with(path, [np.inf, 0.0])


def with_opposite_infinities(path: Path) -> None:
    write_with(path, [np.inf, -np.inf])


def write_with(path: Path, values: list[float]) -> None:
    samples = noise(RATE, channels=2)
    samples[-1] = values
    soundfile.write(path, samples, RATE, subtype="FLOAT", format="WAV")


def cut_short(path: Path) -> None:
    soundfile.write(path, noise(RATE), RATE, format="FLAC")
    path.write_bytes(path.read_bytes()[:8000])


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (nothing, "recording.wav", "no such file"),
        (folder, "recording.wav", "cannot be read as audio"),
        (not_audio, "recording.wav", "cannot be read as audio"),
        (not_audio, "recording.raw", "cannot be read as audio"),
        (no_bytes, "recording.wav", "cannot be read as audio"),
        (no_samples, "recording.wav", "is empty"),
        (with_nan, "recording.wav", "NaN or infinite"),
        (with_infinity, "recording.wav", "NaN or infinite"),
        (with_opposite_infinities, "recording.wav", "NaN or infinite"),
        (cut_short, "recording.flac", "is damaged"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_transcribed_is_named(tmp_path: Path, make, name: str, reason: str) -> None:
    path = tmp_path / name
    make(path)
    with pytest.raises(AudioError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_a_single_sample_is_a_recording(tmp_path: Path, transcriber: Transcriber, rate: int) -> None:
    soundfile.write(tmp_path / "click.wav", noise(1), rate)
    transcript = transcriber.transcribe(tmp_path / "click.wav")
    heard = len(read(tmp_path / "click.wav"))
    assert heard <= 2
    assert len(transcript.tokens) == (11 if heard else 10)


def test_a_48_khz_stereo_recording_says_the_same(
    tmp_path: Path, transcriber: Transcriber, samples: np.ndarray, clip: Path
) -> None:
    upsampled = soxr.resample(samples, RATE, 48000)
    stereo = np.stack([upsampled * 1.5, upsampled * 0.5], axis=1)
    soundfile.write(tmp_path / "studio.wav", stereo, 48000, subtype="FLOAT")
    assert transcriber.transcribe(tmp_path / "studio.wav").text == transcriber.transcribe(clip).text
