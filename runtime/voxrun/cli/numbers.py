"""Numbers and paths on the command line, and one line for what is none."""

import argparse
import math
import re
from typing import TYPE_CHECKING

from voxrun.messages import shown

if TYPE_CHECKING:
    from pathlib import Path

MOST_DIGITS = 15
"""Of a number."""
SLOWEST, FASTEST = 0.1, 1_000_000
"""GB/s of a device's memory, with room on both sides."""


def positive(text: str) -> int:
    """A whole number from 1 on."""
    return _whole(text, 1)


def count(text: str) -> int:
    """A whole number from 0 on."""
    return _whole(text, 0)


def number(text: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number") from error


def above_zero(text: str) -> float:
    """A number of seconds, minutes or megabytes, of which some are needed."""
    value = number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number above 0")
    return value


def speed_of_memory(text: str) -> float:
    """GB/s that some memory has."""
    value = number(text)
    if not SLOWEST <= value <= FASTEST:
        raise argparse.ArgumentTypeError(f"{shown(text)} is no speed from {SLOWEST:g} to {FASTEST:,} GB/s")
    return value


def not_negative(text: str) -> float:
    """A number of seconds, which may be none."""
    value = number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number of 0 or more")
    return value


def path(text: str) -> "Path":
    """Any path."""
    from pathlib import Path  # --help does not wait for it

    return Path(text)


def _whole(text: str, least: int) -> int:
    if re.fullmatch(r"[+-]?\d+", text, re.ASCII) and len(text) > MOST_DIGITS:
        raise argparse.ArgumentTypeError(f"{shown(text)} is too long for a number")
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number of {least} or more")
    return value
