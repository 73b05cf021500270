"""`voxrun` without --audio, with a stand-in for the sounddevice module."""

import io
import json
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import fake_device
import numpy as np
import pytest
from committed import CHECKPOINT
from fake_device import FakeDevice, PortAudioError, blocks
from patience import PATIENCE

from voxrun.audio import microphone
from voxrun.cli import signals
from voxrun.cli.main import main

COMMAND = ["--model", str(CHECKPOINT)]
Hear = Callable[[np.ndarray], None]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_all_that_was_said(
    device: FakeDevice, samples: np.ndarray, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    def play(hear: Hear) -> None:
        for block in blocks(samples):
            hear(block)
        signal.raise_signal(number)  # before a word of it was decoded
        hear(samples)  # came too late

    device.plays = [play]
    assert main(COMMAND) == 0
    out, err = capsys.readouterr()
    assert out.strip() == "please try again"
    assert out.endswith("\n")
    assert err == "voxrun: listening; Ctrl-C ends\n"
    assert device.closed == 1
    assert device.options == [
        {"samplerate": 16000, "blocksize": 1280, "device": None, "channels": 1, "dtype": "float32"}
    ]


def test_ctrl_c_is_noticed_in_silence(device: FakeDevice, capsys: pytest.CaptureFixture[str]) -> None:
    """While the main thread waits for the next block."""

    def later() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    timer = threading.Timer(0.2, later)
    device.plays = [lambda hear: timer.start()]
    assert main(COMMAND) == 0
    timer.join()
    assert capsys.readouterr().out.strip() == ""


def test_a_second_ctrl_c_does_not_wait_for_the_rest(
    device: FakeDevice,
    samples: np.ndarray,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals, "AGAIN", 0.0)

    def play(hear: Hear) -> None:
        hear(samples)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    device.plays = [play]
    assert main(COMMAND) == 130
    assert capsys.readouterr().out.strip() == ""


def test_the_same_ctrl_c_twice_at_once_is_one(
    device: FakeDevice, samples: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    """`timeout -s INT 60 voxrun` sends it to the process, then to its group."""

    def play(hear: Hear) -> None:
        hear(samples)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    device.plays = [play]
    assert main(COMMAND) == 0
    assert capsys.readouterr().out == "please try again\n"


class Console(io.StringIO):
    """What a reader of a terminal or a pipe has seen: only what was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def flush(self) -> None:
        if self.getvalue().strip() == "please try again":
            self.seen.set()


def test_words_are_shown_as_they_come(
    device: FakeDevice, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are on the screen while the stream goes on."""
    console = Console()
    monkeypatch.setattr(sys, "stdout", console)
    seen_in_time = []

    def play(hear: Hear) -> None:
        def talk() -> None:
            for block in blocks(np.concatenate([samples, np.zeros(20 * 1280, np.float32)])):
                hear(block)
            seen_in_time.append(console.seen.wait(PATIENCE))
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=talk, daemon=True).start()

    device.plays = [play]
    assert main(COMMAND) == 0
    assert seen_in_time == [True]


def test_no_microphone_is_one_sentence(device: FakeDevice, capsys: pytest.CaptureFixture[str]) -> None:
    device.plays = [PortAudioError("no default input device"), PortAudioError("and no other")] * 2
    assert main(COMMAND) == 2
    out, err = capsys.readouterr()
    assert out == ""
    complaint = "voxrun: no microphone can be opened (no default input device); see --list-devices;"
    assert err == f"{complaint} or name a recording: voxrun FILE\n"


def test_missing_portaudio_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    assert main(COMMAND) == 2
    out, err = capsys.readouterr()
    assert out == ""
    complaint = "voxrun: PortAudio is not installed (Debian: apt install libportaudio2)"
    assert err == f"{complaint}; or name a recording: voxrun FILE\n"
    assert main(["--list-devices"]) == 2
    assert capsys.readouterr() == ("", f"{complaint}\n")


def test_the_devices_that_record_are_listed(device: FakeDevice, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list-devices"]) == 0
    assert (
        capsys.readouterr().out == "*  1  Built-in (2 channels, 48000 Hz)\n   2  USB (1 channels, 16000 Hz)\n"
    )


def test_no_device_that_records_is_one_sentence(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fake_device, "DEVICES", fake_device.DEVICES[:1])
    assert main(["--list-devices"]) == 2
    assert capsys.readouterr() == ("", "voxrun: there is no device that records\n")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(microphone, "PATIENCE", 0.04)
    monkeypatch.setattr(microphone, "REOPENING", 0.4)


@pytest.mark.slow
def test_a_device_that_stays_away_ends_with_what_was_heard(
    device: FakeDevice, impatient: None, samples: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    device.plays = [lambda hear: hear(samples)]
    assert main(COMMAND) == 2
    out, err = capsys.readouterr()
    assert out == "please try again\n"
    assert err.splitlines()[-1] == "voxrun: the microphone did not come back in 0.4 s"
    assert "Traceback" not in err


@pytest.mark.slow
def test_what_was_heard_before_a_device_vanished_is_written(
    device: FakeDevice, impatient: None, samples: np.ndarray, tmp_path: Path
) -> None:
    device.plays = [lambda hear: hear(samples)]
    assert main([*COMMAND, "--output", str(tmp_path / "notes.srt")]) == 2
    assert (tmp_path / "notes.srt").read_text(encoding="utf-8").endswith("\nplease try again\n\n")


@pytest.mark.slow
def test_subtitles_come_segment_by_segment(
    device: FakeDevice, samples: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    gap = np.zeros(3 * 16000, np.float32)

    def play(hear: Hear) -> None:
        for sound in (samples, gap, samples):
            for block in blocks(sound):
                hear(block)
        signal.raise_signal(signal.SIGINT)

    device.plays = [play]
    assert main([*COMMAND, "--format", "json"]) == 0
    seen = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [segment["text"] for segment in seen] == ["please try again"] * 2
    assert seen[1]["start"] > seen[0]["end"] + 1
