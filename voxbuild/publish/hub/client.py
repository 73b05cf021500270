"""The Hub's client with time-outs, retries and one-line errors."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from voxbuild.console import remember, sayable
from voxbuild.errors import MissingError, PublishError
from voxrun import messages

if TYPE_CHECKING:  # slow to import, and most tasks do not use the Hub
    import httpx2

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds to wait for a connection, for the next bytes of a response, or for the next bytes to be sent."""
SLOWEST = 1000.0
"""Bytes a second: the lowest average rate of a response that takes longer than TIMEOUT."""
WAITS = (1.0, 2.0, 4.0)
"""Seconds between tries, as in the client's own retries."""
LONGEST_WAIT = 300
"""Seconds. A longer Retry-After of the Hub is an error."""
TRANSIENT = (408, 429, 500, 502, 503, 504)
UNEXPECTED = (LookupError, TypeError, AttributeError)
"""Raised by the client for a response with unexpected JSON."""
LATER = "publish again later, which continues where this stopped"
HINTS = {
    401: "log in with `hf auth login`, or set HF_TOKEN",
    403: "the token needs write access to the repository",
    404: "there is no such repository, branch or tag, or the token has no access to it",
    409: "there was another change at the same time; publish again",
    413: "the upload is too large",
    429: "too many requests; publish again later",
    **dict.fromkeys((500, 502, 503, 504), LATER),
    507: "its storage is full; free some there and publish again",
}


class LongPauseError(ValueError):
    """The Hub asks for a longer pause than LONGEST_WAIT."""


@cache
def be_patient() -> None:
    """Give the client, in the whole process, time-outs that its own calls do not switch off.

    Also turn off its warnings of retries, and its progress bars if stderr is no terminal.
    """
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not sys.stderr.isatty():
        disable_progress_bars()
    set_client_factory(_limited)


def check_token() -> None:
    """Hide the client's token in all messages. Raises PublishError if it is not a valid token."""
    from huggingface_hub import get_token

    with publish_errors("the Hub token"):
        if token := get_token():
            remember(token)


def _limited() -> "httpx2.Client":
    from huggingface_hub.utils._http import default_client_factory

    client = default_client_factory()
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], _limit],
        "response": [*hooks["response"], _refuse_long_waits, _pace],
    }
    return client


def _limit(request: "httpx2.Request") -> None:
    """Set time-outs: several of the client's calls override the session's with none."""
    asked = request.extensions.get("timeout", {})
    limits = {kind: asked.get(kind) or TIMEOUT for kind in ("connect", "read", "write", "pool")}
    request.extensions = {**request.extensions, "timeout": limits}


def _pace(response: "httpx2.Response") -> None:
    """Limit the time of the whole response: a read time-out only limits the time between two bytes."""
    import httpx2

    class Paced(httpx2.SyncByteStream):
        def __init__(self, stream: httpx2.SyncByteStream) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            start, received = time.monotonic(), 0
            for part in self._stream:
                received += len(part)
                if time.monotonic() - start > TIMEOUT + received / SLOWEST:
                    raise httpx2.ReadTimeout("the response is too slow", request=response.request)
                yield part

        def close(self) -> None:
            self._stream.close()

    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = Paced(response.stream)


def again(call: Callable[[], T]) -> T:
    """The result of an idempotent call, which is repeated after transient errors."""
    for wait in WAITS:
        try:
            return call()
        except Exception as error:
            pause(error, wait)
    return call()


def pause(error: Exception, wait: float) -> None:
    """Wait before a retry: as long as the Hub asks, or `wait` seconds. Raises `error` if it is permanent."""
    if not is_transient(error):
        raise error
    response = _response(error)
    time.sleep(wait if response is None else _retry_after(response) or wait)


def _retry_after(response: "httpx2.Response") -> int:
    """Seconds by the Retry-After header, else 0; like the client, this reads no dates."""
    value = str(response.headers.get("retry-after", "")).strip()
    return int(value) if value.isdecimal() else 0


def _refuse_long_waits(response: "httpx2.Response") -> None:
    """Raise LongPauseError, where the client itself would wait for any time."""
    if response.status_code in TRANSIENT and (seconds := _retry_after(response)) > LONGEST_WAIT:
        raise LongPauseError(f"the Hub asks to wait {seconds:,} seconds; publish again after that")


def is_transient(error: Exception) -> bool:
    """Whether a retry may succeed: after a busy server, a cut connection, an incomplete response."""
    import httpx2

    cause = _cause(error)
    if (response := _response(cause)) is not None:
        return response.status_code in TRANSIENT
    unreachable = isinstance(cause, httpx2.ConnectError)
    return isinstance(cause, (httpx2.HTTPError, json.JSONDecodeError)) and not unreachable


@contextmanager
def publish_errors(repo: str) -> Iterator[None]:
    """Turn the client's errors into PublishError or MissingError about the repository, without any token."""
    import httpx2

    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, RuntimeError, *UNEXPECTED) as error:
        kind = MissingError if is_missing(error) else PublishError
        raise kind(f"{repo}: {sentence(error)}") from error


def is_missing(error: Exception) -> bool:
    """Whether there is no such repository, revision or file, or it is hidden without a token."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    hidden = isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError)
    return hidden or getattr(_response(error), "status_code", None) == 404


def sentence(error: Exception) -> str:
    """An error in one line, without the Hub's host, query and request ids."""
    import httpx2

    cause = _cause(error)
    text = plain(str(cause)) or type(cause).__name__
    if (response := _response(cause)) is not None:
        status = response.status_code
        reason = getattr(cause, "server_message", None)
        text = f"the Hub answers {status}{_request(response)}"
        text += f" ({plain(reason)})" if reason else ""
        text += f"; {HINTS[status]}" if status in HINTS else ""
    elif isinstance(cause, httpx2.RequestError):
        text = f"no response{_request(cause)}: {text}; {LATER}"
    elif isinstance(cause, json.JSONDecodeError):
        text = f"the Hub's response is not JSON ({text}); {LATER}"
    elif isinstance(cause, KeyError):
        text = f"the Hub's response has no {text}; {LATER}"
    elif isinstance(cause, UNEXPECTED):
        text = f"the Hub's response is unexpected ({text}); {LATER}"
    return sayable(text)


def plain(text: str) -> str:
    """Untrusted text in one line, without tokens and control characters."""
    return messages.sentence(sayable(str(text)))


def _request(source: "httpx2.RequestError | httpx2.Response") -> str:
    try:
        return f" to {source.request.method} {source.request.url.path}"
    except RuntimeError:  # it has no request
        return ""


def _cause(error: Exception) -> Exception:
    """The cause of an upload's RuntimeError; Xet raises some without a cause."""
    inner = error.__cause__
    return inner if type(error) is RuntimeError and isinstance(inner, Exception) else error


def _response(error: Exception) -> "httpx2.Response | None":
    return getattr(_cause(error), "response", None)
