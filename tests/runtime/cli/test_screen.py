"""What a terminal shows meanwhile, and that nothing of it comes where there is none."""

import fcntl
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS
from patience import PATIENCE
from tqdm.utils import disp_len

from voxrun.arrays import FloatArray
from voxrun.audio.source import Source
from voxrun.cli.screen import METER, Overall, meter, progress, screen_for

CHAIN = CLIPS / "chains" / "chain-1.flac"
PROMPT = CLIPS / "prompts" / "please-try-again.flac"
RAW = ("--raw", "s16le:16000")
WIDE = "\N{HIRAGANA LETTER A}"
FIGURES = re.compile(rf"\[1/2\] {WIDE}{{4,}}… [█ ]\S* *\| \d+ of 21 s, \d+\.\dx, \d\d:\d\d left")


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
    out, _ = process.communicate(sound, timeout=PATIENCE)
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
    shown, _ = on_terminal("-", *RAW, sound=live())
    assert "| please" in shown  # beside seconds and speed
    assert remains(shown) == ["please try again", "please try again"]


def test_a_pipe_gets_plain_words_while_the_terminal_has_them_in_the_making() -> None:
    shown, out = on_terminal("-", *RAW, sound=live(), stdout_too=False)
    assert out == "please try again please try again\n"
    assert "| please" in shown
    assert remains(shown) == []


@pytest.mark.slow
def test_recordings_show_progress_that_goes_away(tmp_path: Path) -> None:
    long = shutil.copy(CHAIN, tmp_path / f"{WIDE * 60}.flac")
    shown, _ = on_terminal(str(long), str(CHAIN), "--jobs", "1")
    assert FIGURES.search(shown)
    assert "[2/2] chain-1.flac " in shown
    assert max(map(disp_len, re.split("[\r\n]", shown.split("currently there")[0]))) < 60
    first, second = remains(shown)
    assert first == second
    assert first.startswith("currently there")


@pytest.mark.slow
def test_several_at_once_show_one_line_for_all(tmp_path: Path) -> None:
    shown, _ = on_terminal(str(CHAIN), str(PROMPT), str(CHAIN), "--jobs", "2")
    drawn = re.findall(r"(\d) of 3 recordings [^\r]*?(\d+)%, \d+ s, \d+\.\dx, (?:\?|\d\d:\d\d) left", shown)
    counts, shares = [int(done) for done, _ in drawn], [int(share) for _, share in drawn]
    assert (counts, counts[0], counts[-1]) == (sorted(counts), 0, 3)
    assert (shares, shares[-1]) == (sorted(shares), 100)
    first, second, third = remains(shown)
    assert first == third
    assert second == "please try again"


class Terminal(StringIO):
    """Keeps what is drawn, and tells of the third time."""

    def __init__(self) -> None:
        super().__init__()
        self.drawn, self.thrice = 0, Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.drawn += " of 100 s, " in text
        if self.drawn == 3:
            self.thrice.set()
        return super().write(text)


class Slow(Source):
    """100 s, 5 of which are given to a model that has not answered yet."""

    live, seconds, heard = False, 100.0, 5.0

    def _blocks(self) -> Iterator[FloatArray]:
        yield from ()


def test_progress_goes_on_while_the_model_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with screen_for(Slow("talk", 16000), "dir/talk.flac") as screen:
        seconds = iter([0.0, 1.0, 2.0, 3.0, *[400.0] * 1000])
        screen.done = lambda: next(seconds)
        assert terminal.thrice.wait(PATIENCE)
    shown = terminal.getvalue()
    assert re.findall(r"talk.flac .* (\d+) of 100 s", shown)[-1] == "5"  # no more than was heard
    assert shown.rsplit("\r", 2)[1].isspace()


def test_nothing_is_shown_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with screen_for(Slow("talk", 16000), "talk.flac") as screen:
        screen.show("words")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        ((251, 3600, 14.2), "251 of 3600 s, 14.2x, 03:55 left"),
        ((60, 72000, 2), "60 of 72000 s, 2.0x, 9:59:30 left"),
        ((0, 10, 0), "0 of 10 s, 0.0x, ? left"),
        ((11, 10, 1), "11 of 10 s, 1.0x, 00:00 left"),  # longer than its header said
        ((251, None, 14.2), "251 s, 14.2x"),
        ((251, 0, 14.2), "251 s, 14.2x"),
    ],
)
def test_progress_tells_seconds_speed_and_what_remains(seconds: tuple[Any, ...], shown: str) -> None:
    assert progress(*seconds) == shown


def test_the_share_of_several_counts_finished_failed_and_open_ones() -> None:
    with Overall(4) as screen:
        assert re.match(r"0 of 4 recordings +\| 0%, 0 s, 0\.0x, \? left", screen.line(200))
        screen.skip()
        half, talk = Slow("half", 16000), Slow("talk", 16000)
        half.seconds = 10.0
        screen.begin(half, lambda: 5.0)
        screen.begin(talk, lambda: 400.0)  # no more than was heard
        assert re.match(r"1 of 4 recordings ███▉ +\| 39%, 10 s, ", screen.line(200))
        screen.end(half)  # at once, or the share would go back for a moment
        assert re.match(r"2 of 4 recordings █████▏ +\| 51%, 10 s, ", screen.line(200))
        assert re.match(r"2 of 4 recordings, 51%, 10 s, ", screen.fitted(50))


@pytest.mark.parametrize("name", ["talk.flac", WIDE * 85, "e\u0301" * 100, ""])
def test_a_line_never_exceeds_the_terminal(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for source in (Slow("talk", 16000), Spoken("stdin", 16000)):
        screen = screen_for(source, name, 1, 3)
        screen.show(name)
        for columns in (0, 1, 20, 40, 59, 200):
            line = screen.fitted(columns)
            assert disp_len(line) <= columns
            assert columns < 40 or " s, " in line  # the figures are there


class Spoken(Slow):
    live = True


def test_words_of_a_pipe_follow_seconds_and_speed() -> None:
    screen = screen_for(Spoken("stdin", 16000), "stdin")
    screen.show("what was said at last")
    assert re.fullmatch(r"5 s, \d+\.\dx \| what was said at last", screen.fitted(200))
    assert re.fullmatch(r"5 s, \d+\.\dx \| last", screen.fitted(len(screen.fitted(200)) - 17))
