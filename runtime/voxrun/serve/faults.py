"""What goes wrong inside the server, one line each: no traceback, no key, nothing that was said."""

import asyncio
import errno
import logging
import time
import traceback
from typing import Any

log = logging.getLogger("voxrun")
LIBRARIES = ("uvicorn.error", "asyncio", "websockets", "starlette")
FULL = (errno.EMFILE, errno.ENFILE)
OF_CLIENTS = ("Invalid UTF-8",)
"""How messages begin that are about a client's fault, which the client is told."""
QUIET = 60.0
"""Seconds between two lines that say the same."""


class Faults(logging.Handler):
    """Errors that the libraries log, in our form."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._told = dict[str, float]()

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, unless the same was told just now."""
        if record.getMessage().startswith(OF_CLIENTS):
            return
        error = record.exc_info[1] if record.exc_info else None
        self.tell(record.getMessage().strip() if error is None else f"the server failed ({described(error)})")

    def of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What asyncio cannot hand to anybody."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in FULL:
            self.tell(
                "too many connections: the system gives this process no more files (ulimit -n); new clients"
                " have to wait"
            )
        elif isinstance(error, Exception):
            self.tell(f"the server failed ({described(error)})")

    def tell(self, message: str) -> None:
        """One line, at most once in a while."""
        now = time.monotonic()
        if now - self._told.get(message, -QUIET) >= QUIET:
            if len(self._told) > 100:
                self._told.clear()
            self._told[message] = now
            log.error("%s", message)


def described(error: BaseException) -> str:
    """The kind of an error and where it was raised; not its message, which may quote what was said."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {frames[-1].name}, {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def show_faults() -> Faults:
    """Show the errors of the libraries through voxrun's log, and none of their other messages."""
    faults = Faults()
    for name in LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [faults], False
        logger.setLevel(logging.ERROR)
    return faults
