"""What stderr shows during a run: progress through a file, or the level and words of live audio."""

import logging
import math
import os
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from voxrun.audio.source import Source, log
from voxrun.messages import sentence

QUIETEST = -60.0
"""Decibels below full scale at the left end of the meter."""
METER = 10
"""Characters of the meter."""
LONG = 10.0
"""Seconds of a recording from which its progress is shown."""
BLOCKS = " ▏▎▍▌▋▊▉█"


class Screen:
    """A line on a terminal that disappears at the end; nothing if stderr is not a terminal."""

    def __init__(self, wanted: bool = True, **options: Any) -> None:
        disable = None if wanted else True  # None: unless this is a terminal
        self._bar = tqdm(file=sys.stderr, disable=disable, leave=False, dynamic_ncols=True, **options)

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def show(self, source: Source, text: str) -> None:
        """Show the state of a source, and the text in progress."""


class Progress(Screen):
    """Progress through a long file."""

    def __init__(self, source: Source) -> None:
        seconds = round(source.seconds or 0, 1)
        super().__init__(seconds >= LONG, total=seconds, unit="s", desc=sentence(Path(source.name).name))

    def show(self, source: Source, text: str) -> None:
        """Seconds done."""
        self._bar.update(source.heard - self._bar.n)


class Live(Screen):
    """The level, and the end of the text in progress."""

    def __init__(self) -> None:
        super().__init__(bar_format="{desc}")

    def show(self, source: Source, text: str) -> None:
        """One line, as wide as there is room."""
        if not self._bar.disable:
            room = max(1, _columns() - METER - 4)
            self._bar.set_description_str(f"{meter(source.level)} {text[-room:]}")


def _columns() -> int:
    """The width of the terminal; that of one that was closed is no longer known."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return 80


def screen_for(source: Source) -> Screen:
    """The screen for a source."""
    return Live() if source.live else Progress(source)


def meter(level: float) -> str:
    """A root mean square of 0..1 as a bar of METER characters, in decibels."""
    decibels = 20 * math.log10(max(level, 1e-9))
    filled = round(min(max(1 - decibels / QUIETEST, 0.0), 1.0) * METER * 8)
    whole, eighths = divmod(filled, 8)
    return ("█" * whole + (BLOCKS[eighths] if eighths else "")).ljust(METER) + "|"


class LogHandler(logging.Handler):
    """The log as one sentence a line on stderr, above the screen."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it."""
        print_above(f"voxrun: {sentence(record.getMessage())}")


def print_above(text: str) -> None:
    """Lines on stderr, above the screen."""
    tqdm.write(text, file=sys.stderr)
    sys.stderr.flush()


def show_log() -> None:
    """Show the log on stderr, once however often this is called."""
    log.setLevel(logging.INFO)
    if not any(isinstance(handler, LogHandler) for handler in log.handlers):
        log.addHandler(LogHandler())
