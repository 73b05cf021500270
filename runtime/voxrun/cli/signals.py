"""Ctrl-C, SIGTERM and SIGHUP: the first ends the audio, the second the program."""

import math
import os
import signal
import time
from types import FrameType

TYPE_CHECKING = False
if TYPE_CHECKING:  # a Ctrl-C before signals are handled prints a traceback, so little is imported
    from typing import Protocol

    class Stoppable(Protocol):
        """What hears audio: a source, or several at once."""

        @property
        def stopped(self) -> bool:
            """Whether `stop` was called."""

        def stop(self) -> None:
            """End soon, as if the audio ended there; called from a signal handler."""


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
AGAIN = 0.3
"""Seconds; a signal that comes sooner is a repetition: timeout(1) signals a process, then its group."""


class Interruption:
    """Handles the signals. While audio is transcribed, the first signal stops its source: the model is not
    interrupted in an update, which would make its caches useless for the rest of the text. The second raises
    KeyboardInterrupt, for the outputs to be committed or discarded; one more ends the process at once.
    """

    def __init__(self) -> None:
        self.source: Stoppable | None = None
        """The audio that is being transcribed."""
        self.at_once = True
        """Whether the first signal ends the process: there is nothing to clean up while it imports and loads,
        and libraries may swallow exceptions."""
        self._number, self._last = signal.SIGINT, -math.inf
        self.aborting = False
        """Whether the second signal came: what was heard is not told any more."""
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a job in the background
                signal.signal(number, self._take)

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells do."""
        return 128 + self._number

    def _take(self, number: int, frame: FrameType | None) -> None:
        now, last = time.monotonic(), self._last
        self._last = now
        stopped = self.aborting or (self.source is not None and self.source.stopped)
        if stopped and now - last < AGAIN:
            return
        self._number = signal.Signals(number)
        if self.at_once or self.aborting:
            os._exit(self.exit_code)
        if self.source is None or stopped:
            self.aborting = True
            raise KeyboardInterrupt
        self.source.stop()
