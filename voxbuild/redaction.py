"""What is said holds no token, and steers no terminal: much of it was written by others."""

import os
from urllib.parse import quote

from .errors import PublishError

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
