"""Ctrl-C and SIGTERM: the first ends the audio, the second the program."""

import math
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # signals are handled before the audio libraries are imported
    from voxrun.audio.source import Source

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN = 0.3
"""Seconds; a signal that comes sooner is a repetition: timeout(1) signals a process, then its group."""


class Interruption:
    """Handles the signals. While a source is transcribed, the first signal stops the source: the model is not
    interrupted in an update, which would make its caches useless for the rest of the text.
    """

    def __init__(self) -> None:
        self.source: Source | None = None
        """The source that is being transcribed."""
        self._number, self._last = signal.SIGINT, -math.inf
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a job in the background
                signal.signal(number, self._take)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells do."""
        return 128 + self._number

    def _take(self, number: int, frame: FrameType | None) -> None:
        now, last = time.monotonic(), self._last
        self._number, self._last = signal.Signals(number), now
        if self.source is not None and self.source.stopped and now - last < AGAIN:
            return
        if self.source is None or self.source.stopped:
            raise KeyboardInterrupt
        self.source.stop()
