"""What a terminal shows meanwhile, and that nothing of it comes where there is none."""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import threading

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS

from voxrun.cli.screen import METER, meter

CHAIN = CLIPS / "chains" / "chain-1.flac"
PROMPT = CLIPS / "prompts" / "please-try-again.flac"


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (0.0, "          |"),
        (1e-3, "          |"),
        (10**-1.5, "█████     |"),
        (1.0, "██████████|"),
        (2.0, "██████████|"),
    ],
)
def test_the_meter_is_in_decibels(level: float, shown: str) -> None:
    assert meter(level) == shown


def test_the_meter_rises_and_keeps_its_width() -> None:
    shown = [meter(level) for level in np.geomspace(1e-4, 2, 50)]
    assert {len(bar) for bar in shown} == {METER + 1}
    assert len(set(shown)) > 30


def on_terminal(*arguments: str, sound: bytes = b"", stdout_too: bool = True) -> tuple[str, str]:
    """What a run shows on a terminal of 60 columns, and what comes through a pipe instead."""
    master, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "voxrun", "--model", str(CHECKPOINT), *arguments],
        stdin=subprocess.PIPE,
        stdout=terminal if stdout_too else subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    os.close(terminal)
    shown = bytearray()

    def watch() -> None:
        try:
            while data := os.read(master, 10_000):
                shown.extend(data)
        except OSError:  # the other end is closed
            pass

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, _ = process.communicate(sound, timeout=120)
    watcher.join()
    os.close(master)
    assert process.returncode == 0
    return shown.decode(), (out or b"").decode()


def remains(shown: str) -> list[str]:
    """The lines that are left on the terminal."""
    lines = [
        re.split("\r", line.rstrip("\r"))[-1].strip() for line in shown.replace("\x1b[A", "").split("\n")
    ]
    return [line for line in lines if line]


def live(silence: float = 3.0) -> bytes:
    said = soundfile.read(PROMPT, dtype="int16")[0]
    gap = np.zeros(round(16000 * silence), np.int16)
    return np.concatenate([said, gap, said]).tobytes()


@pytest.mark.slow
def test_live_words_are_shown_in_the_making_and_stay_as_lines() -> None:
    shown, _ = on_terminal("--audio", "-", sound=live())
    assert "| please" in shown  # beside the meter
    assert remains(shown) == ["please try again", "please try again"]


def test_a_pipe_gets_plain_words_while_the_terminal_has_the_meter() -> None:
    shown, out = on_terminal("--audio", "-", sound=live(), stdout_too=False)
    assert out == "please try again please try again\n"
    assert "| please" in shown
    assert remains(shown) == []


@pytest.mark.slow
def test_a_file_shows_progress_that_goes_away() -> None:
    files = [str(CHAIN), str(CHAIN), str(PROMPT)]
    shown, _ = on_terminal("--audio", *files)
    assert "chain-1.flac" in shown
    assert re.search(r"\d+%", shown)
    assert "please-try-again.flac" not in shown  # too short for it
    first, second, _ = remains(shown)
    assert first == second
    assert first.startswith("currently there")
