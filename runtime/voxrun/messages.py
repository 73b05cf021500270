"""What is quoted from files of others, made fit for a message: short, printable, on one line."""

from reprlib import Repr
from typing import Any

MAX_MESSAGE = 1000
_SHORTENED = Repr()
_SHORTENED.maxlevel, _SHORTENED.maxstring, _SHORTENED.maxother, _SHORTENED.maxlong = 2, 60, 60, 60


def shown(value: Any) -> str:
    """A value from a file for a message: however large it is, a few dozen printable characters."""
    return _SHORTENED.repr(value).encode("ascii", "backslashreplace").decode()


def sentence(message: object, limit: int = MAX_MESSAGE) -> str:
    """One line of a bearable length, as a terminal may show it, whatever of a file is quoted in it."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(message)).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."
