"""Finds what is missing between decoded packets: by their times, or by their places where they have none."""

from .losses import LEAST, Losses
from .tags import Tagged

LEAST_GAP = 0.5
"""Seconds between packets from which sound is missing; shorter gaps are rounding, or silence that was not sent."""
MOST_GAP = 600.0
"""Seconds; a longer gap is another clock, not a gap."""


class TimedGaps:
    """For packets with times: silence stands for what is missing, so that later times stay right."""

    def __init__(self, losses: Losses, start: float | None, least: float = LEAST_GAP) -> None:
        """`start`: the container's time of its beginning; `least`: seconds of the shortest gap that counts."""
        self._losses, self._next, self._least = losses, start, least
        self._begun, self._failed = False, 0.0

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
        if least <= gap <= MOST_GAP:
            if begun:
                self._losses.damage(gap)
            return gap
        if begun and failed:
            self._losses.damage(0.0 if at is not None else failed)
        return 0.0


class PlacedGaps:
    """For packets without times: bytes between them that are neither sound nor tags, at the recording's rate."""

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
