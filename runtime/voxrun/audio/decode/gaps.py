"""Finds what is missing between decoded packets: by their times, or by their places where they have none."""

import math

from .losses import LEAST, Losses
from .tags import Tagged

LEAST_GAP = 0.1
"""Seconds of drift between sound and its times from which silence stands for what is missing."""
TOLD_GAP = 0.5
"""Seconds of a gap that is told; shorter ones are rounding or a codec's pauses, unless there are many."""
MANY_GAPS = 1.0
"""Seconds of shorter gaps, in all, that are told of a codec without pauses."""
MOST_GAP = 600.0
"""Seconds; a longer gap is another clock, not a gap."""
LATEST_START, SPARE_SILENCE = 60.0, 10.0
"""Seconds of silence that are believed, as times may be damaged: before any sound; later, in excess of half
of the sound so far."""


class TimedGaps:
    """For packets with times: silence stands for what is missing, so that later times stay right."""

    def __init__(
        self,
        losses: Losses,
        start: float | None,
        length: float = math.inf,
        *,
        least: float = LEAST_GAP,
        told: float = TOLD_GAP,
        late: bool = True,
        pauses: bool = False,
    ) -> None:
        """`start`: the container's time of its beginning; `length`: its seconds.

        `least`, `told`: seconds of the shortest gap, and of the shortest told at once; `late`: whether
        sound may begin late, as in a film; `pauses`: whether the codec may send nothing for a short silence.
        """
        self._losses, self._next, self._length = losses, start, length
        self._least, self._told, self._pauses = least, told, pauses
        self._begun = not late
        self._sound = self._silence = self._small = self._failed = 0.0

    def failure(self, place: int | None, size: int, seconds: float) -> None:
        """A packet could not be decoded."""
        self._failed += seconds or LEAST

    def sound(self, place: int | None, size: int, at: float | None, seconds: float) -> float:
        """A frame of sound, at its time; returns the seconds of silence that go before it."""
        gap = at - self._next if at is not None and self._next is not None else 0.0
        silence = gap if gap >= self._least and self._is_plausible(gap, seconds) else 0.0
        if at is not None and (self._next is None or gap < -LEAST or gap - silence >= self._least):
            self._next = at  # another clock: of a joined recording, or of damaged times
        self._tell(silence)
        self._sound += seconds
        self._silence += silence if self._begun or self._length < math.inf else 0.0
        self._begun = True
        self._next = None if self._next is None else self._next + silence + seconds
        return silence

    def finish(self) -> None:
        """The sound has ended: packets that failed at its end may be what is behind it, a few of them."""
        if self._begun and self._failed >= TOLD_GAP:
            self._losses.cut = True

    def _is_plausible(self, gap: float, seconds: float) -> bool:
        """Whether the recording can hold such a gap, and a frame of so many seconds behind it."""
        silence = self._silence + gap
        if self._length < math.inf:
            total = self._sound + silence + seconds
            return total <= self._length + LEAST and silence <= MOST_GAP + self._sound
        most = SPARE_SILENCE + self._sound / 2 if self._begun else LATEST_START
        return gap <= MOST_GAP and silence <= most

    def _tell(self, silence: float) -> None:
        """Note what is missing before a frame."""
        failed, self._failed = self._failed, 0.0
        if not self._begun:
            return
        if failed or silence >= self._told:
            self._losses.damage(silence or failed)
        elif silence and not self._pauses:
            self._small += silence
            if self._small >= MANY_GAPS:
                self._losses.damage(self._small)
                self._small = 0.0


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
