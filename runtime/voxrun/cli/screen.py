"""What stderr shows during a run: progress through a recording, or the level and words of live audio."""

import logging
import math
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import accumulate
from threading import Event, Thread

from tqdm import tqdm
from tqdm.utils import disp_len

from voxrun.audio.microphone import Microphone
from voxrun.audio.source import Source, log
from voxrun.messages import MAX_MESSAGE, sentence

QUIETEST = -60.0
"""Decibels below full scale at the left end of the meter."""
METER = 10
"""Characters of the meter, and of the bar of progress."""
BLOCKS = " ▏▎▍▌▋▊▉█"
EVERY = 0.5
"""Seconds after which the line is drawn again, however long the model takes for a block."""
LEAST_TITLE = 12
"""Columns that a recording's name gets before the bar of progress gets any."""


class Screen(ABC):
    """A line on a terminal that disappears at the end; nothing if stderr is not a terminal."""

    def __init__(self, source: Source) -> None:
        self._source, self._text, self._begin = source, "", time.monotonic()
        # With sizes, for tqdm never ends on a terminal of unknown ones; lines are cut to their width here.
        self._bar = tqdm(
            file=sys.stderr, disable=None, leave=False, bar_format="{desc}", ncols=1000, nrows=20
        )
        self._closed = Event()
        self.done: Callable[[], float] = lambda: source.heard
        """Seconds that are transcribed; called in another thread."""

    def __enter__(self) -> "Screen":
        if not self._bar.disable:
            Thread(target=self._draw_often, daemon=True, name="voxrun-screen").start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._bar.close()

    def show(self, text: str) -> None:
        """Show the state of the source, and the text in progress."""
        self._text = text
        self._draw()

    def fitted(self, columns: int) -> str:
        """What to show, never more than so many columns: a longer line could not be drawn over."""
        return cut(self.line(columns), columns)

    @abstractmethod
    def line(self, columns: int) -> str:
        """What to show in so many columns, if that is possible."""

    @property
    def heard(self) -> float:
        """Seconds that are transcribed; control tokens at the end count for none."""
        return min(self.done(), self._source.heard)

    @property
    def speed(self) -> float:
        """Seconds heard in a second."""
        return self.heard / max(time.monotonic() - self._begin, 1e-3)

    def _draw_often(self) -> None:
        while not self._closed.wait(EVERY):
            self._draw()

    def _draw(self) -> None:
        if not self._bar.disable:
            self._bar.set_description_str(_encodable(self.fitted(_columns() - 1)), refresh=False)
            with tqdm.get_lock():  # type: ignore[no-untyped-call]  # released even if a signal's exception comes meanwhile
                self._bar.refresh(nolock=True)


class Progress(Screen):
    """Progress through a recording."""

    def __init__(self, source: Source, title: str) -> None:
        super().__init__(source)
        self._title = title

    def line(self, columns: int) -> str:
        """The recording's name as far as there is room, and how far it is."""
        heard, total = self.heard, self._source.seconds
        figures = progress(heard, total, self.speed)
        if total and (room := columns - METER - len(figures) - 3) >= LEAST_TITLE:
            return f"{shortened(self._title, room)} {bar(heard / total)} {figures}"
        room = columns - len(figures) - 1
        return f"{shortened(self._title, room)} {figures}" if room > 1 else figures


class Pipe(Screen):
    """Seconds, speed, and the end of the text in progress."""

    def line(self, columns: int) -> str:
        """One line, as wide as there is room."""
        return _with_words(f"{progress(self.heard, None, self.speed)} |", self._text, columns)


class Live(Screen):
    """The level of a microphone, and the end of the text in progress."""

    def line(self, columns: int) -> str:
        """One line, as wide as there is room."""
        return _with_words(meter(self._source.level), self._text, columns)


def screen_for(source: Source, name: str, index: int = 0, n: int = 1) -> Screen:
    """The screen for a source, the one at `index` of `n`."""
    if isinstance(source, Microphone):
        return Live(source)
    if source.live:
        return Pipe(source)
    title = sentence(os.path.basename(name))  # noqa: PTH119 - as typed, with what Path would take away
    return Progress(source, f"[{index + 1}/{n}] {title}" if n > 1 else title)


def progress(heard: float, total: float | None, speed: float) -> str:
    """Seconds heard, of how many if that is known, and the speed."""
    if not total:
        return f"{heard:.0f} s, {speed:.1f}x"
    left = tqdm.format_interval(max(total - heard, 0) / speed) if speed else "?"
    return f"{heard:.0f} of {total:.0f} s, {speed:.1f}x, {left} left"


def cut(text: str, columns: int) -> str:
    """The beginning of a text in so many columns; characters of East Asia take two."""
    return text[: sum(width <= columns for width in accumulate(map(disp_len, text)))]


def shortened(text: str, columns: int) -> str:
    """A text in so many columns, with a sign that it is cut."""
    return text if disp_len(text) <= columns else f"{cut(text, columns - 1)}…"


def _with_words(state: str, text: str, columns: int) -> str:
    """A state, and the end of a text in the columns that are left."""
    words = sentence(text[-MAX_MESSAGE:])
    return f"{state} {cut(words[::-1], columns - len(state) - 1)[::-1]}"


def _columns() -> int:
    """The width of the terminal; 80 if it does not say, or is closed."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _encodable(text: str) -> str:
    """A text of the same width in the encoding of stderr."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)


def meter(level: float) -> str:
    """A root mean square of 0..1 as a bar of METER characters, in decibels."""
    return bar(1 - 20 * math.log10(max(level, 1e-9)) / QUIETEST)


def bar(fraction: float) -> str:
    """A fraction as a bar of METER characters, and its end."""
    filled = round(min(max(fraction, 0.0), 1.0) * METER * 8)
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
