"""What is said to people: progress on stderr, tables, and messages without tokens."""

import os
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from tabulate import tabulate
from tqdm import tqdm

from voxrun.messages import sentence

from .errors import PublishError


def progress_bar(label: str, total: int, unit: str) -> Any:
    """A progress bar on stderr; none where that is no terminal."""
    return tqdm(total=total or None, desc=label, unit=unit, unit_scale=unit == "B", disable=None, leave=False)


VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
_KNOWN: set[str] = set()


def remember(token: str) -> None:
    """Say no more what the client sends as its token. Raises PublishError if no header could hold it."""
    _KNOWN.add(token)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise PublishError(
            "the token of the Hub holds characters that no token has: set HF_TOKEN anew, or log in with"
            " `hf auth login`"
        )


def sayable(text: str) -> str:
    """A message without tokens, in any of the forms that others write them in; its lines stay lines."""
    known = _KNOWN | {os.environ.get(name, "").strip() for name in VARIABLES}
    for form in sorted((form for token in known if token for form in _forms(token)), key=len, reverse=True):
        text = text.replace(form, "<token>")
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def _forms(token: str) -> set[str]:
    escaped = {repr(token)[1:-1], ascii(token)[1:-1], repr(token.encode(errors="replace"))[2:-1]}
    return {token, quote(token, errors="replace"), " ".join(token.split()), *escaped}


def markdown(rows: Iterable[Iterable[Any]], header: list[str]) -> str:
    """A Markdown table; columns of numbers are aligned right, their text is kept as it is."""
    return tabulate([list(row) for row in rows], header, "github", disable_numparse=True)


def foreign_table(rows: Iterable[Iterable[str]], header: list[str]) -> str:
    """The same of what somebody else wrote: every cell printable, on one line, and in its column."""
    return markdown(([sentence(cell).replace("|", r"\|") for cell in row] for row in rows), header)
