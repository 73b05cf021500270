"""Ctrl-C and SIGTERM: the first ends the sound, the second the program."""

import math
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # so that signals can be taken over before the libraries for sound are loaded
    from voxrun.audio.source import Source

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.3
"""Seconds; what comes sooner is the same one again: timeout(1) signals a process, then its group."""


class Interruption:
    """Takes the signals over. While a source is being heard the first one stops the source, and the model
    finishes what it is at: interrupted in mid-update, its caches would be of no use to bring out the rest.
    """

    def __init__(self) -> None:
        self.source: Source | None = None
        """What is being heard."""
        self._number, self._last = signal.SIGINT, -math.inf
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a job in the background
                signal.signal(number, self._take)

    @property
    def exit_code(self) -> int:
        """As shells have it."""
        return 128 + self._number

    def _take(self, number: int, frame: FrameType | None) -> None:
        now, last = time.monotonic(), self._last
        self._number, self._last = signal.Signals(number), now
        if self.source is not None and self.source.stopped and now - last < AGAIN:
            return
        if self.source is None or self.source.stopped:
            raise KeyboardInterrupt
        self.source.stop()
