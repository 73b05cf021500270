"""Finds what is missing between decoded packets: by their times, or by their places where they have none."""

import math

from .losses import LEAST, Losses
from .tags import Tagged

LEAST_GAP = 0.5
"""Seconds between packets from which sound is missing; shorter: rounding, or silence that is not sent."""
MOST_GAP = 600.0
"""Seconds; a longer gap is another clock, not a gap."""


class TimedGaps:
    """For packets with times: silence stands for what is missing, so that later times stay right."""

    def __init__(
        self,
        losses: Losses,
        start: float | None,
        length: float = math.inf,
        least: float = LEAST_GAP,
        late: bool = True,
    ) -> None:
        """`start`: the container's time of its beginning; `length`: its seconds.

        `least`: seconds of the shortest gap that counts; `late`: whether sound may begin late, as in a film.
        """
        self._losses, self._next, self._length, self._least = losses, start, length, least
        self._sounded = 0.0  # silence included
        self._begun, self._failed = not late, 0.0

    def failure(self, place: int | None, size: int, seconds: float) -> None:
        """A packet could not be decoded."""
        self._failed += seconds or LEAST

    def sound(self, place: int | None, size: int, at: float | None, seconds: float) -> float:
        """A frame of sound, at its time; returns the seconds of silence that go before it."""
        gap = at - self._next if at is not None and self._next is not None else 0.0
        begun, failed = self._begun, self._failed
        self._begun, self._failed = True, 0.0
        self._next = at + seconds if at is not None else self._next and self._next + seconds
        least = min(LEAST, self._least) if failed else self._least
        self._sounded += seconds
        if least <= gap <= MOST_GAP and self._sounded + gap <= self._length + LEAST:
            if begun:
                self._losses.damage(gap)
            self._sounded += gap
            return gap
        if begun and failed:
            self._losses.damage(0.0 if at is not None else failed)
        return 0.0


class PlacedGaps:
    """For packets without times: bytes between them that are no tags, at the recording's mean rate."""

    def __init__(self, losses: Losses, tags: Tagged) -> None:
        self._losses, self._tags = losses, tags
        self._end: int | None = None  # of the last packet of sound
        self._failed = 0.0
        self._bytes, self._seconds = 0, 0.0  # of sound

    def failure(self, place: int | None, size: int, seconds: float) -> None:
        """A packet could not be decoded; a tag never can."""
        if place is None or not self._tags.between(place, place + size):
            self._failed += seconds or LEAST

    def sound(self, place: int | None, size: int, at: float | None, seconds: float) -> float:
        """A frame of sound; returns 0: how much is missing is only an estimate."""
        if place is not None and self._end is not None:
            skipped = place - self._end - self._tags.between(self._end, place)
            missing = max(skipped, 0) * self._seconds / max(self._bytes, 1)
            if self._failed or missing >= LEAST:
                self._losses.damage(max(self._failed, missing))
        self._failed = 0.0
        if place is not None:
            self._end = max(self._end or 0, place + size)
        self._bytes += size
        self._seconds += seconds
        return 0.0

    def finish(self) -> None:
        """The sound has ended: what FFmpeg skipped without a word counts too."""
        if missing := self._tags.skipped * self._seconds / max(self._bytes, 1):
            self._losses.damage(max(0.0, missing - self._losses.seconds))
