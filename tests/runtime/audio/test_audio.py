"""Recordings of any rate and layout become mono float32 blocks; what cannot be read says so."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from voxrun.audio.file import FileSource
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
    assert FileSource(path, RATE).seconds == (None if suffix == "ogg" else 1.0)
    ours = read(path)
    assert RATE <= len(ours) <= RATE * 1.01  # vorbis: to the end of its block
    assert np.abs(ours[:RATE] - tone).max() < tolerance  # 16 bits; vorbis is lossy


def test_a_long_recording_comes_in_blocks(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", noise(RATE * 12), RATE)
    source = FileSource(tmp_path / "long.wav", RATE)
    assert [(len(block), source.heard) for block in source] == [(80000, 5.0), (80000, 10.0), (32000, 12.0)]


def test_a_recording_can_be_stopped(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", noise(RATE * 12), RATE)
    source = FileSource(tmp_path / "long.wav", RATE)
    for _ in source:
        source.stop()
    assert 5.0 <= source.heard < 6.0  # what was read already


def not_audio(path: Path) -> None:
    path.write_text("no sound in here " * 100, encoding="utf-8")


def no_bytes(path: Path) -> None:
    path.write_bytes(b"")


def no_samples(path: Path) -> None:
    soundfile.write(path, noise(0), RATE, format="WAV")


def nothing(path: Path) -> None:
    assert path not in path.parent.iterdir()


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


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (nothing, "recording.wav", "no such file"),
        (nothing, f"{'long' * 100}.wav", "File name too long"),
        (folder, "recording.wav", "Is a directory"),
        (not_audio, "recording.wav", "cannot be read as audio"),
        (not_audio, "recording.raw", "cannot be read as audio"),
        (no_bytes, "recording.wav", "is empty"),
        (no_samples, "recording.wav", "is empty"),
        (with_nan, "recording.wav", "NaN or infinite"),
        (with_infinity, "recording.wav", "NaN or infinite"),
        (with_opposite_infinities, "recording.wav", "NaN or infinite"),
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


@pytest.mark.skipif(sys.platform == "darwin", reason="has no such names")
def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "talk.flac", noise(RATE), RATE)
    path = (tmp_path / "talk.flac").rename(tmp_path / os.fsdecode(b"\xff.flac"))
    assert len(read(path)) == RATE
    not_audio(path)
    with pytest.raises(AudioError, match="cannot be read as audio"):
        read(path)


def cut(path: Path, share: float, **options: str) -> None:
    """Leave the first `share` of a recording of 10 s."""
    soundfile.write(path, noise(RATE * 10), RATE, **options)
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * share)])


@pytest.mark.parametrize("name", ["recording.wav", "recording.aiff", "recording.au", "recording.w64"])
def test_the_seconds_lost_of_a_truncated_recording_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    cut(tmp_path / name, 0.7)
    assert len(read(tmp_path / name)) == pytest.approx(7 * RATE, abs=0.05 * RATE)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / name}: the recording is cut short or damaged; 3.0 s of it are lost"
    ]


def test_a_cut_mp3_ends_where_it_was_cut(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """soundfile.blocks() would repeat old samples up to the length that the header tells."""
    cut(tmp_path / "recording.mp3", 0.7)
    heard = read(tmp_path / "recording.mp3")
    assert 6.5 * RATE < len(heard) < 7.5 * RATE
    assert "3.0 s of it are lost" in caplog.text or "3.1 s of it are lost" in caplog.text


def test_damaged_vorbis_is_shorter_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "recording.ogg"
    soundfile.write(path, noise(RATE * 10), RATE)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 10] = bytes(len(data) // 10)
    path.write_bytes(data)
    source = FileSource(path, RATE)
    heard = np.concatenate(list(source))
    assert len(heard) == pytest.approx(10 * RATE, abs=RATE / 100)  # silence stands for what is lost
    assert 0.5 < source.lost < 2.5
    assert np.mean(heard == 0) * 10 == pytest.approx(source.lost, abs=0.05)
    assert f"{source.lost:.1f} s of it are lost" in caplog.text


def test_a_truncated_ogg_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut(tmp_path / "recording.ogg", 0.7)
    assert len(read(tmp_path / "recording.ogg")) < 8 * RATE
    assert "is cut short or damaged; how much of it is lost cannot be known" in caplog.text


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFF000])
def test_an_unknown_length_is_not_reported_as_loss(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    path = tmp_path / "recording.wav"
    soundfile.write(path, noise(RATE), RATE)
    data = path.read_bytes()
    start = data.index(b"data") + 4
    path.write_bytes(data[:start] + size.to_bytes(4, "little") + data[start + 4 :])
    assert len(read(path)) == RATE
    assert caplog.text == ""


@pytest.mark.parametrize("name", ["recording.wav", "recording.flac", "recording.ogg", "recording.mp3"])
@pytest.mark.parametrize("seconds", [0.1, 1.0, 9.99])
def test_whole_recordings_lost_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, seconds: float
) -> None:
    soundfile.write(tmp_path / name, noise(round(RATE * seconds)), RATE)
    assert len(read(tmp_path / name)) == pytest.approx(seconds * RATE, abs=0.1 * RATE)
    assert caplog.text == ""


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_shorter_than_a_position_is_too_short(tmp_path: Path, rate: int) -> None:
    enough = rate * 8 // 100
    soundfile.write(tmp_path / "enough.wav", noise(enough), rate)
    soundfile.write(tmp_path / "click.wav", noise(enough - 1), rate)
    assert FileSource(tmp_path / "enough.wav", RATE).seconds == 0.08
    with pytest.raises(AudioError, match=r"click\.wav: 0\.080 s are too short to transcribe"):
        read(tmp_path / "click.wav")


@pytest.mark.parametrize("rate", [200, 2_000_000])
def test_an_unsupported_rate_is_named(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "odd.wav", noise(rate), rate)
    with pytest.raises(AudioError, match=f"{rate} samples a second"):
        read(tmp_path / "odd.wav")


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (96000, 6), (192000, 8)])
def test_rates_and_channels(tmp_path: Path, rate: int, channels: int) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "tone.wav", np.tile(tone[:, None], channels), rate, subtype="FLOAT")
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    middle = slice(RATE // 10, -RATE // 10)
    assert np.abs(read(tmp_path / "tone.wav") - expected)[middle].max() < 1e-3


def test_a_48_khz_stereo_recording_gives_the_same_transcript(
    tmp_path: Path, transcriber: Transcriber, samples: np.ndarray, clip: Path
) -> None:
    upsampled = soxr.resample(samples, RATE, 48000)
    stereo = np.stack([upsampled * 1.5, upsampled * 0.5], axis=1)
    soundfile.write(tmp_path / "studio.wav", stereo, 48000, subtype="FLOAT")
    assert transcriber.transcribe(tmp_path / "studio.wav").text == transcriber.transcribe(clip).text
