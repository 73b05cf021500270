"""`voxrun` without --audio, with a stand-in for the sounddevice module: no PortAudio is needed here."""

import io
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from committed import CHECKPOINT

from voxrun.cli import main

COMMAND = ["--model", str(CHECKPOINT)]


class PortAudioError(Exception):
    pass


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """`play` is what happens once the stream was started; `options` and `closed` are what it was asked."""
    state = SimpleNamespace(play=None, options={}, closed=False)

    class InputStream:
        def __init__(self, *, callback: Callable[..., None], **options: Any) -> None:
            state.options, self._callback = options, callback

        def start(self) -> None:
            state.play(self._hear)

        def _hear(self, samples: np.ndarray) -> None:
            buffer = samples[:, None].copy()
            self._callback(buffer, len(samples), None, None)
            buffer[:] = np.nan  # PortAudio's buffer is not ours to keep

        def close(self) -> None:
            state.closed = True

    module = ModuleType("sounddevice")
    module.InputStream, module.PortAudioError = InputStream, PortAudioError
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return state


def blocks(samples: np.ndarray) -> list[np.ndarray]:
    return [samples[start : start + 1280] for start in range(0, len(samples), 1280)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_all_that_was_said(
    device: SimpleNamespace, samples: np.ndarray, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    def play(hear: Callable[[np.ndarray], None]) -> None:
        for block in blocks(samples):
            hear(block)
        signal.raise_signal(number)  # before a word of it was decoded
        hear(samples)  # came too late

    device.play = play
    assert main(COMMAND) == 0
    out, err = capsys.readouterr()
    assert out.strip() == "please try again"
    assert out.endswith("\n")
    assert err == "listening; Ctrl-C ends\n"
    assert device.closed
    assert device.options == {"samplerate": 16000, "blocksize": 1280, "channels": 1, "dtype": "float32"}


def test_ctrl_c_is_noticed_in_silence(device: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    """While the main thread waits for the next block."""

    def later() -> None:
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    timer = threading.Timer(0.2, later)
    device.play = lambda hear: timer.start()
    assert main(COMMAND) == 0
    timer.join()
    assert capsys.readouterr().out.strip() == ""


def test_a_second_ctrl_c_does_not_wait_for_the_rest(
    device: SimpleNamespace, samples: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    def play(hear: Callable[[np.ndarray], None]) -> None:
        hear(samples)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    device.play = play
    assert main(COMMAND) == 130
    assert capsys.readouterr().out.strip() == ""


class Console(io.StringIO):
    """What a reader of a terminal or a pipe has seen: only what was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = threading.Event()

    def flush(self) -> None:
        if self.getvalue().strip() == "please try again":
            self.seen.set()


def test_words_are_seen_as_they_come(
    device: SimpleNamespace, samples: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are on the screen while the stream goes on."""
    console = Console()
    monkeypatch.setattr(sys, "stdout", console)
    seen_in_time = []

    def play(hear: Callable[[np.ndarray], None]) -> None:
        def talk() -> None:
            for block in blocks(np.concatenate([samples, np.zeros(20 * 1280, np.float32)])):
                hear(block)
            seen_in_time.append(console.seen.wait(10))
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

        threading.Thread(target=talk, daemon=True).start()

    device.play = play
    assert main(COMMAND) == 0
    assert seen_in_time == [True]


def test_no_microphone_is_one_sentence(device: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    def play(hear: Callable[[np.ndarray], None]) -> None:
        raise PortAudioError("no default input device")

    device.play = play
    assert main(COMMAND) == 2
    out, err = capsys.readouterr()
    assert out == ""
    complaint = "voxrun: no microphone can be opened (no default input device); try --audio FILE"
    assert err.splitlines()[-1] == complaint


def test_missing_portaudio_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    assert main(COMMAND) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(
        "voxrun: PortAudio is not installed (Debian: apt install libportaudio2)"
    )
