"""One request for a range of a remote file's bytes, whose answer is checked before its body is received."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from voxbuild.errors import SourceError

CHUNK_BYTES = 2**16
ERROR_BYTES = 2**16
CONTENT_RANGE = r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})"
TIMEOUT = 30.0
"""Seconds to wait for more bytes from the Hub."""


@contextmanager
def asked(url: str, headers: Mapping[str, str], first: int, count: int) -> Iterator[Any]:
    """The open answer to a request for `count` bytes from `first`, whatever it says."""
    from huggingface_hub import get_session

    wanted = {**headers, **header_of(first, count)}
    with get_session().stream("GET", url, headers=wanted, timeout=TIMEOUT) as answer:
        yield answer


def header_of(first: int, count: int) -> dict[str, str]:
    """What a request for this range says."""
    return {"Range": f"bytes={first}-{first + count - 1}", "Accept-Encoding": "identity"}


def size_of(answer: Any, first: int, count: int, advice: str) -> int:
    """The size of the whole file, from an answer that holds just this range.

    Raises the client's error for a refusal, and SourceError for another range or the whole file; `advice` is
    what to do without ranges.
    """
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

    if answer.is_error:
        hf_raise_for_status(_cut(answer))
    if answer.status_code != 206:
        raise SourceError(
            f"{plain(answer.url)}: the server does not send ranges of bytes, and the whole file is not"
            f" downloaded here; {advice}"
        )
    sent = re.fullmatch(CONTENT_RANGE, said := answer.headers.get("content-range", ""))
    length = answer.headers.get("content-length", str(count))
    if not sent or (int(sent[1]), int(sent[2])) != (first, first + count - 1) or length != str(count):
        raise SourceError(
            f"{plain(answer.url)}: asked for {count:,} bytes from {first:,}, the server sends {length} bytes"
            f" as {said!r}; {advice}"
        )
    return int(sent[3])


def received(answer: Any, count: int) -> bytes:
    """At most `count` + 1 bytes of the body as it was sent: one byte too many shows that there are more."""
    data = bytearray()
    for part in answer.iter_raw(CHUNK_BYTES):
        data += part
        if len(data) > count:
            break
    return bytes(data[: count + 1])


def plain(url: Any) -> str:
    """A URL without its query, in which a signature may be."""
    return str(url).partition("?")[0]


def _cut(answer: Any) -> Any:
    """An error response with only the start of its body, in which the client finds the reason."""
    import httpx2

    body = received(answer, ERROR_BYTES)
    headers = {n: text for n, text in answer.headers.items() if n.lower().startswith(("x-", "retry-after"))}
    asked = httpx2.Request("GET", str(answer.url))
    return httpx2.Response(answer.status_code, headers=headers, content=body, request=asked)
