"""Output for people: progress bars on stderr, Markdown tables, and messages without access tokens."""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from voxrun.messages import sentence

from .errors import PublishError


def progress_bar(label: str, total: int, unit: str) -> Any:
    """A progress bar on stderr; hidden if stderr is not a terminal."""
    from tqdm import tqdm

    return tqdm(total=total or None, desc=label, unit=unit, unit_scale=unit == "B", disable=None, leave=False)


def say(line: str) -> None:
    """Write a line to stderr, above the progress bars."""
    from tqdm import tqdm

    tqdm.write(sayable(line), file=sys.stderr)


def drop_output() -> None:
    """Let everything that is still to be printed to standard output vanish: it cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_KNOWN: set[str] = set()


def remember(token: str) -> None:
    """Mask this token in all messages. Raises PublishError if it cannot be sent in an HTTP header."""
    _KNOWN.add(token)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise PublishError(
            "the Hub token holds characters that no token has: set HF_TOKEN again, or log in with"
            " `hf auth login`"
        )


def sayable(text: str) -> str:
    """A printable message in which tokens, quoted or escaped ones too, are masked; line breaks are kept."""
    known = _KNOWN | {os.environ.get(name, "").strip() for name in VARIABLES}
    for form in sorted((form for token in known if token for form in _forms(token)), key=len, reverse=True):
        text = text.replace(form, "<token>")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _forms(token: str) -> set[str]:
    escaped = {repr(token)[1:-1], ascii(token)[1:-1], repr(token.encode(errors="replace"))[2:-1]}
    return {token, quote(token, errors="replace"), " ".join(token.split()), *escaped}


def some_of(names: Sequence[str], most: int = 5) -> str:
    """The first `most` names, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def markdown(rows: Iterable[Iterable[Any]], header: list[str]) -> str:
    """A Markdown table; the cells are not reformatted."""
    from tabulate import tabulate

    return tabulate([list(row) for row in rows], header, "github", disable_numparse=True)


def foreign_table(rows: Iterable[Iterable[str]], header: list[str]) -> str:
    """A Markdown table of untrusted text: every cell is printable, on one line, with `|` escaped."""
    return markdown(([sentence(cell).replace("|", r"\|") for cell in row] for row in rows), header)
