"""Cues of subtitles: their lines, and how long each stays on the screen.

The times follow the Netflix Timed Text Style Guide (general requirements; subtitle timing guidelines) and the
BBC Subtitle Guidelines: at least 5/6 s and at most 7 s; long enough to be read, but not over 1.5 s after the
speech; two frames between cues; no longer gap that is under half a second, for it would only flicker.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .layout import CUE, Layout
from .lines import lines
from .pieces import Piece, joined, whole_words
from .segments import MOST_SECONDS, SHORTEST, Segment

AT_LEAST = 5 / 6
"""Seconds of a cue, if the next one leaves room."""
READING_SPEED = 20.0
"""Columns a second that people can read."""
LINGER = 1.5
"""Seconds that a cue stays after its speech, at most."""
GAP = 0.08
"""Seconds between cues: two frames of 25 a second."""
FLICKER = 0.5
"""Seconds: a cue stays until a next one that follows within this time."""
INSTANT = 0.001
"""Seconds of a word that the model gave no time: the step of the formats."""


@dataclass(frozen=True)
class Cue:
    """What is on the screen at once."""

    start: float
    """Seconds."""
    end: float
    """Seconds, after the start."""
    lines: Sequence[Sequence[Piece]]

    @property
    def width(self) -> int:
        """Columns of all its words."""
        return sum(piece.width for line in self.lines for piece in line)

    @property
    def texts(self) -> list[str]:
        """The text of each line."""
        return [joined(line) for line in self.lines]


def cues_of(segment: Segment, layout: Layout) -> list[Cue]:
    """The cues of a segment: one, or one for each word; they do not overlap, and lie inside its time."""
    if layout.words != CUE:
        return [Cue(segment.start, segment.end, lines(segment.pieces, layout))]
    words = whole_words(segment.pieces)
    found: list[Cue] = []
    now, end = round(segment.start, 3), round(segment.end, 3)
    for index, word in enumerate(words):
        latest = end - INSTANT * (len(words) - index)  # leaves time for the words that follow
        start = max(now, min(word.start, latest))
        now = max(start + INSTANT, min(word.end, latest + INSTANT))
        found.append(Cue(start, now, [[word]]))
    return found


class Pacing:
    """Gives cues their times on the screen. It holds one cue until it is known when the next begins."""

    def __init__(self, gap: float = GAP) -> None:
        """`gap`: seconds between two cues."""
        self._gap, self._held = gap, list[Cue]()

    def add(self, cue: Cue) -> list[Cue]:
        """The cue before this one, if it was not final yet."""
        final = self._release(self._until(cue.start))
        self._held = [cue]
        return final

    def upcoming(self, start: float, final: bool) -> list[Cue]:
        """The cue that is final if the next one starts at `start` seconds, or if not final, no earlier."""
        if final or (self._held and start - self._wanted() >= FLICKER):
            return self._release(self._until(start))
        return []

    def finish(self, seconds: float) -> list[Cue]:
        """The last cue, after `seconds` of sound."""
        return self._release(min(self._wanted(), max(seconds, self._held[0].end))) if self._held else []

    def _wanted(self) -> float:
        """When the held cue should end, whatever follows."""
        cue = self._held[0]
        readable = cue.start + max(AT_LEAST, cue.width / READING_SPEED)
        return max(cue.end, min(readable, cue.end + LINGER, cue.start + MOST_SECONDS))

    def _until(self, following: float) -> float:
        """When the held cue ends if the next one starts at `following`."""
        if not self._held:
            return 0.0
        cue, wanted = self._held[0], self._wanted()
        if following - wanted >= FLICKER:
            return wanted
        if following - self._gap < cue.start + SHORTEST:
            return following  # no time for a gap
        return min(following - self._gap, max(cue.end, cue.start + MOST_SECONDS))

    def _release(self, end: float) -> list[Cue]:
        held, self._held = self._held, []
        return [replace(cue, end=end) for cue in held]
