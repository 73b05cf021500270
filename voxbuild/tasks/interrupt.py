"""Ctrl-C and SIGTERM end a build cleanly: temporary folders go, one line is said, the exit code is not 0."""

import signal
import sys
from types import FrameType, TracebackType


def end_cleanly() -> None:
    """From here on SIGTERM does what Ctrl-C does, and neither shows a traceback."""
    signal.signal(signal.SIGTERM, _interrupt)
    sys.excepthook = _report


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        said = str(error) or "what was finished is kept, the rest left nothing behind"
        print(f"\ninterrupted: {said}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is cleaned up: no thread may hold up the end now
        signal.raise_signal(signal.SIGINT)
    else:
        sys.__excepthook__(kind, error, trace)
