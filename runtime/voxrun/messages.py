"""Quoting untrusted files in messages: short, printable, on one line."""

from reprlib import Repr

MAX_MESSAGE = 1000
_SHORTENED = Repr()
_SHORTENED.maxlevel, _SHORTENED.maxstring, _SHORTENED.maxother, _SHORTENED.maxlong = 2, 60, 60, 60


def shown(value: object) -> str:
    """A value from a file as a message quotes it: at most a few dozen printable characters."""
    return _SHORTENED.repr(value).encode("ascii", "backslashreplace").decode()


def sentence(message: object, limit: int = MAX_MESSAGE) -> str:
    """A message as one printable line of at most `limit` characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in readable(str(message))).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def readable(text: str) -> str:
    """Text with the name of a file, whose bytes need not be UTF-8 nor of the locale's encoding, as UTF-8.

    Other bytes become U+FFFD.
    """
    try:
        name = text.encode(errors="surrogateescape")  # as Python decodes names
    except UnicodeEncodeError:
        name = text.encode(errors="replace")
    return name.decode(errors="replace")
