"""Ctrl-C and SIGTERM end a build cleanly: no temporary folders, one message, a non-zero exit code."""

import signal
import sys
from types import FrameType, TracebackType


def end_cleanly() -> None:
    """Make SIGTERM do the same as Ctrl-C, both without a traceback."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.excepthook = _report


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        message = str(error) or "what was finished is kept; run it again to go on"
        print(f"\ninterrupted: {message}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # cleanup is done; do not wait for threads
        signal.raise_signal(signal.SIGINT)
    else:
        sys.__excepthook__(kind, error, trace)
