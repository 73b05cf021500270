"""A microphone as a source: what it is asked for, and what is lost, told and survived."""

import itertools
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soxr
from fake_device import FakeDevice, PortAudioError, blocks

from voxrun.audio import microphone
from voxrun.audio.microphone import Microphone
from voxrun.errors import DeviceError

Hear = Callable[[np.ndarray], None]


def heard(microphone: Microphone) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *microphone])


def until_stopped(microphone: Microphone, *sounds: np.ndarray) -> Callable[[Hear], None]:
    def play(hear: Hear) -> None:
        for sound in sounds:
            hear(sound)
        microphone.stop()

    return play


@pytest.mark.parametrize(("asked", "given"), [(None, None), ("USB", "USB"), ("2", 2)])
def test_a_device_is_chosen_by_name_or_number(
    device: FakeDevice, samples: np.ndarray, asked: str | None, given: str | int | None
) -> None:
    source = Microphone(16000, asked)
    device.plays = [until_stopped(source, *blocks(samples))]
    assert np.array_equal(heard(source), samples)
    assert device.options[0]["device"] == given


def test_an_unknown_device_is_named(device: FakeDevice) -> None:
    with pytest.raises(DeviceError, match="No input device matching 'Gramophone'"):
        heard(Microphone(16000, "Gramophone"))


@pytest.mark.parametrize("layout", [(48000, 1), (48000, 2)])
def test_a_device_that_cannot_do_16_khz_mono_is_resampled(
    device: FakeDevice, samples: np.ndarray, layout: tuple[int, int]
) -> None:
    source, native = Microphone(16000), soxr.resample(samples, 16000, 48000)
    device.layouts = [layout]
    device.plays = [until_stopped(source, *[native[i : i + 3840] for i in range(0, len(native), 3840)])]
    ours = heard(source)
    assert device.options[-1]["blocksize"] == 3840
    assert np.abs(ours - soxr.resample(native, 48000, 16000)).max() < 1e-6


def test_an_overrun_is_reported_with_the_seconds_lost(
    device: FakeDevice, samples: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    source, block = Microphone(16000), samples[:1280]

    def play(hear: Callable[..., None]) -> None:
        hear(block, begin=5.0)
        hear(block, begin=5.08)
        hear(block, begin=5.46, overflow=True)  # 0.3 s after it should have begun
        source.stop()

    device.plays = [play]
    assert len(heard(source)) == 3 * 1280
    assert "the microphone was not read in time; 0.3 s lost so far" in caplog.text


def test_an_overrun_of_unknown_length_is_reported(
    device: FakeDevice, samples: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    source = Microphone(16000)

    def play(hear: Callable[..., None]) -> None:
        hear(samples[:1280], overflow=True)
        source.stop()

    device.plays = [play]
    heard(source)
    assert "the microphone was not read in time; how much is lost is not known" in caplog.text


def test_many_overruns_are_few_lines(
    device: FakeDevice, samples: np.ndarray, caplog: pytest.LogCaptureFixture
) -> None:
    source = Microphone(16000)

    def play(hear: Callable[..., None]) -> None:
        for i in range(1000):
            hear(samples[:1280], begin=1 + 0.18 * i, overflow=True)  # each loses 0.1 s
        source.stop()

    device.plays = [play]
    assert len(heard(source)) == 1000 * 1280
    told = [message for message in caplog.messages if "not read in time" in message]
    assert len(told) <= 12
    assert "99.9 s lost so far" in told[-1]


def test_a_slow_model_is_reported_and_no_audio_is_dropped(
    device: FakeDevice, caplog: pytest.LogCaptureFixture
) -> None:
    source, block = Microphone(16000), np.zeros(1280, np.float32)
    device.plays = [until_stopped(source, *[block] * 500)]  # 40 s before the first was taken
    assert len(heard(source)) == 500 * 1280
    behind = [message for message in caplog.messages if "slower than real time" in message]
    assert behind == ["the model is slower than real time: 40 s behind the microphone"]
    assert "lost" not in caplog.text


def test_waiting_audio_is_bounded_and_losses_are_reported(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(microphone, "MOST_SECONDS", 8.0)
    source, block = Microphone(16000), np.zeros(1280, np.float32)
    device.plays = [until_stopped(source, *[block] * 150)]
    assert len(heard(source)) == 100 * 1280
    assert "more than 8 s behind the microphone; 4.0 s lost so far" in caplog.text


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "PATIENCE", 0.04)
    monkeypatch.setattr(microphone, "REOPENING", 0.4)


def test_a_device_that_comes_back_goes_on(
    device: FakeDevice,
    impatient: None,
    samples: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ticks = itertools.count(0.0, 0.03)
    monkeypatch.setattr(microphone.time, "monotonic", lambda: next(ticks))
    source, half = Microphone(16000), len(samples) // 2
    away = [PortAudioError("gone")] * 6  # two attempts, in three layouts each
    device.plays = [
        lambda hear: hear(samples[:half]),
        *away,
        until_stopped(source, samples[half:]),
    ]
    assert np.array_equal(heard(source), samples)
    assert device.restarts > 1  # PortAudio sees new devices only then
    assert "the microphone is gone" in caplog.text
    assert re.search(r"the microphone is back; 0\.[1-9] s lost", caplog.text)


def test_a_stream_that_ends_itself_is_opened_again(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch, samples: np.ndarray
) -> None:
    monkeypatch.setattr(microphone, "PATIENCE", 0.04)
    monkeypatch.setattr(microphone.time, "monotonic", lambda: 0.0)  # not because it was silent too long
    source = Microphone(16000)
    end = threading.Timer(20, source.stop)  # so that this fails, should it not work
    end.start()

    def play(hear: Any) -> None:
        hear(samples)
        hear.active = False

    device.plays = [play, until_stopped(source, samples)]
    assert len(heard(source)) == 2 * len(samples)
    end.cancel()


def test_ctrl_c_ends_the_wait_for_a_device(
    device: FakeDevice, impatient: None, monkeypatch: pytest.MonkeyPatch, samples: np.ndarray
) -> None:
    monkeypatch.setattr(microphone, "REOPENING", 1e9)
    source = Microphone(16000)
    device.plays = [lambda hear: hear(samples)]
    threading.Timer(0.3, source.stop).start()
    assert np.array_equal(heard(source), samples)


def test_the_level_is_that_of_the_last_block(device: FakeDevice) -> None:
    source = Microphone(16000)
    device.plays = [until_stopped(source, np.full(1280, 0.5, np.float32))]
    heard(source)
    assert source.level == pytest.approx(0.5)


def test_invalid_samples_of_a_device_are_silence(device: FakeDevice) -> None:
    """One of them would stay in the resampler for good."""
    source = Microphone(16000)
    device.layouts = [(48000, 2)]
    odd = np.array([np.nan, np.inf, -np.inf, 3e38], np.float32).repeat(960)
    device.plays = [until_stopped(source, odd, np.full(3840, 0.5, np.float32))]
    assert np.isfinite(heard(source)).all()
    assert source.level == pytest.approx(0.5)
