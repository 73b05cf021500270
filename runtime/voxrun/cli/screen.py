"""What stderr shows during a run: progress through a recording, or the level and words of live audio."""

import logging
import math
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import accumulate
from threading import Event, Lock, Thread
from typing import Self

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
Done = Callable[[], float]
"""Seconds of a source that are transcribed."""


class Screen(ABC):
    """A line on a terminal that disappears at the end; nothing if stderr is not a terminal."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        # With sizes, for tqdm never ends on a terminal of unknown ones; lines are cut to their width here.
        self._bar = tqdm(
            file=sys.stderr, disable=None, leave=False, bar_format="{desc}", ncols=1000, nrows=20
        )
        self._closed = Event()

    def __enter__(self) -> Self:
        if not self._bar.disable:
            Thread(target=self._draw_often, daemon=True, name="voxrun-screen").start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closed.set()
        self._bar.close()

    def fitted(self, columns: int) -> str:
        """What to show, never more than so many columns: a longer line could not be drawn over."""
        return cut(self.line(columns), columns)

    @abstractmethod
    def line(self, columns: int) -> str:
        """What to show in so many columns, if that is possible."""

    @property
    @abstractmethod
    def heard(self) -> float:
        """Seconds that are transcribed."""

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning; never 0."""
        return max(time.monotonic() - self._begin, 1e-3)

    @property
    def speed(self) -> float:
        """Seconds heard in a second."""
        return self.heard / self.elapsed

    def _draw_often(self) -> None:
        while not self._closed.wait(EVERY):
            self._draw()

    def _draw(self) -> None:
        if not self._bar.disable:
            with tqdm.get_lock():  # type: ignore[no-untyped-call]  # released even if a signal's exception comes meanwhile
                self._bar.set_description_str(_encodable(self.fitted(_columns() - 1)), refresh=False)
                self._bar.refresh(nolock=True)


class SourceScreen(Screen):
    """The screen of a single source."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source, self._text = source, ""
        self.done: Done = lambda: source.heard
        """Called in another thread."""

    def show(self, text: str) -> None:
        """Show the state of the source, and the text in progress."""
        self._text = text
        self._draw()

    @property
    def heard(self) -> float:
        """Seconds that are transcribed; control tokens at the end count for none."""
        return min(self.done(), self._source.heard)


class Progress(SourceScreen):
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


class Pipe(SourceScreen):
    """Seconds, speed, and the end of the text in progress."""

    def line(self, columns: int) -> str:
        """One line, as wide as there is room."""
        return _with_words(f"{progress(self.heard, None, self.speed)} |", self._text, columns)


class Live(SourceScreen):
    """The level of a microphone, and the end of the text in progress."""

    def line(self, columns: int) -> str:
        """One line, as wide as there is room."""
        return _with_words(meter(self._source.level), self._text, columns)


class Overall(Screen):
    """Progress through several recordings that are heard at once; its methods may be called in any thread."""

    def __init__(self, n: int) -> None:
        """`n`: recordings in all."""
        super().__init__()
        self._n, self._lock = n, Lock()
        self._ended, self._seconds = 0, 0.0
        self._open: dict[Source, Done] = {}

    def begin(self, source: Source, done: Done) -> None:
        """A recording is being heard."""
        with self._lock:
            self._open[source] = done
        self._draw()

    def end(self, source: Source) -> None:
        """It is done with."""
        with self._lock:
            del self._open[source]
            self._seconds += source.heard
            self._ended += 1
        self._draw()

    def skip(self) -> None:
        """A recording cannot be heard."""
        with self._lock:
            self._ended += 1
        self._draw()

    @property
    def heard(self) -> float:
        """Seconds that are transcribed, of all recordings."""
        with self._lock:
            return self._seconds + sum(min(done(), source.heard) for source, done in self._open.items())

    def line(self, columns: int) -> str:
        """How many recordings are done, the share of all, and figures as of one."""
        with self._lock:
            parts = [
                min(done(), each.heard) / each.seconds for each, done in self._open.items() if each.seconds
            ]
            share, ended = min((self._ended + sum(parts)) / self._n, 1.0), self._ended
        left = tqdm.format_interval(self.elapsed * (1 / share - 1)) if share else "?"
        files = f"{ended} of {self._n} recordings"
        figures = f"{share:.0%}, {self.heard:.0f} s, {self.speed:.1f}x, {left} left"
        with_bar = f"{files} {bar(share)} {figures}"
        return with_bar if disp_len(with_bar) <= columns else f"{files}, {figures}"


def screen_for(source: Source, name: str, index: int = 0, n: int = 1) -> SourceScreen:
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
