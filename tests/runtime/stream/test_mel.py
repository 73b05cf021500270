"""The log-mel spectrogram: the contract's formula, and the same frames for any chunking."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import small_params

from voxrun.checkpoint.config import ModelConfig
from voxrun.stream.mel import LogMel

AUDIO = ModelConfig.from_dict(small_params()).audio
SIGNAL = np.random.default_rng(0).normal(0, 0.1, 6000).astype(np.float32)


def in_chunks(sizes: list[int]) -> np.ndarray:
    log_mel = LogMel(AUDIO)
    ends = np.cumsum(sizes)
    return np.concatenate([log_mel.feed(part) for part in np.split(SIGNAL, ends[ends < len(SIGNAL)])])


@pytest.mark.slow
@settings(derandomize=True, max_examples=50)
@given(st.lists(st.integers(1, 2000), min_size=1, max_size=30))
def test_frames_are_bit_identical_for_any_chunking(sizes: list[int]) -> None:
    assert np.array_equal(in_chunks(sizes), LogMel(AUDIO).feed(SIGNAL))


def test_frames_are_bit_identical_sample_by_sample() -> None:
    assert np.array_equal(in_chunks([1] * len(SIGNAL)), LogMel(AUDIO).feed(SIGNAL))


def test_frame_j_covers_the_samples_around_160_j() -> None:
    log_mel = LogMel(AUDIO)
    assert log_mel.look_ahead == 40
    assert len(log_mel.feed(SIGNAL[:199])) == 0
    assert len(log_mel.feed(SIGNAL[199:200])) == 1  # frame 0: samples -200 .. 199
    assert len(log_mel.feed(SIGNAL[200:359])) == 0
    assert len(log_mel.feed(SIGNAL[359:360])) == 1


def test_silence_is_the_floor() -> None:
    assert np.all(LogMel(AUDIO).feed(np.zeros(2000, np.float32)) == -0.625)


def test_a_tone_stands_in_its_mel_band() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(4000) / 16000)
    frame = LogMel(AUDIO).feed(tone.astype(np.float32))[10]
    # Slaney's scale is linear up to 1000 Hz, which is 15 mels of the 45.245640 that 8000 Hz are.
    expected = 15 / 45.245640 * 129 - 1
    assert abs(int(frame.argmax()) - expected) <= 1
