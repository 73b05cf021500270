"""Waiting for an event: for as long as any machine takes, so that no test depends on its speed."""

import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

PATIENCE = 120.0
"""Seconds after which what a test waits for will never come."""


def until(true: Callable[[], Any], process: "Popen[Any] | None" = None) -> None:
    """Wait until something is true. Fails if it never is, or if the process that makes it true ends first."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert process is None or process.poll() is None, "the process has ended"
        assert time.monotonic() < end, "it never was"
        time.sleep(0.01)
