"""The Hub's client made patient, but not for ever: time-outs, retries, and errors in a sentence."""

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

if TYPE_CHECKING:  # loaded when the Hub is talked to: most tasks never do
    import httpx2

T = TypeVar("T")

TIMEOUT = 60.0
"""Seconds to wait for a connection, for the next bytes of an answer, or for some of ours to be taken."""
SLOWEST = 1000.0
"""Bytes a second. An answer that has taken longer than TIMEOUT must have come at least as fast as this."""
WAITS = (1.0, 2.0, 4.0)
"""Seconds between tries, as the client waits with those of its calls that it repeats itself."""
LONGEST_WAIT = 300
"""Seconds. The Hub may ask for a longer pause; that is told instead of waited for."""
TRANSIENT = (408, 429, 500, 502, 503, 504)
NOT_ASKED_FOR = (LookupError, TypeError, AttributeError)
"""What the client raises over an answer that is JSON, but none that the Hub gives."""
LATER = "publish again later, it goes on from what is there then"
HINTS = {
    401: "log in with `hf auth login`, or set HF_TOKEN",
    403: "the token may not do this: it needs the right to write to the repository",
    404: "there is no such repository, or the token may not see it",
    409: "something else was changed there at the same time; publish again",
    413: "that is more than it takes",
    429: "it asks for a pause; publish again later",
    500: LATER,
    502: LATER,
    503: LATER,
    504: LATER,
    507: "its storage is full; make room there and publish again",
}


class LongPauseError(ValueError):
    """The Hub asks for a longer pause than anybody waits for."""


@cache
def be_patient() -> None:
    """Give the client, in the whole process, limits of time that its own calls do not switch off.

    And let it be quiet: no warning of each retry, no progress bars where nobody watches.
    """
    from huggingface_hub import constants, set_client_factory
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if constants.HF_HUB_DISABLE_PROGRESS_BARS is None and not sys.stderr.isatty():
        disable_progress_bars()
    set_client_factory(_limited)


def check_token() -> None:
    """Have the token that the client finds kept out of all messages. Raises PublishError if it is none."""
    from huggingface_hub import get_token

    with in_a_sentence("the token of the Hub"):
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
    """Several of the client's calls ask for no time-out at all, which goes before the session's own."""
    asked = request.extensions.get("timeout", {})
    limits = {kind: asked.get(kind) or TIMEOUT for kind in ("connect", "read", "write", "pool")}
    request.extensions = {**request.extensions, "timeout": limits}


def _pace(response: "httpx2.Response") -> None:
    """A time-out between two bytes never comes if there is always one more: hold the whole against a pace."""
    import httpx2

    class Paced(httpx2.SyncByteStream):
        def __init__(self, stream: httpx2.SyncByteStream) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            start, received = time.monotonic(), 0
            for part in self._stream:
                received += len(part)
                if time.monotonic() - start > TIMEOUT + received / SLOWEST:
                    raise httpx2.ReadTimeout("the answer comes too slowly", request=response.request)
                yield part

        def close(self) -> None:
            self._stream.close()

    assert isinstance(response.stream, httpx2.SyncByteStream)
    response.stream = Paced(response.stream)


def again(call: Callable[[], T]) -> T:
    """The result of a call that does no harm when it is made twice; it is repeated while that may help."""
    for wait in WAITS:
        try:
            return call()
        except Exception as error:
            pause(error, wait)
    return call()


def pause(error: Exception, wait: float) -> None:
    """Wait before a call is made again: as long as the Hub asks, or so many seconds. Raises what stays."""
    if not may_pass(error):
        raise error
    response = _response(error)
    time.sleep(wait if response is None else _asked(response) or wait)


def _asked(response: "httpx2.Response") -> int:
    """For how many seconds the Hub asks to be left alone; the client too reads nothing but seconds."""
    said = str(response.headers.get("retry-after", "")).strip()
    return int(said) if said.isdecimal() else 0


def _refuse_long_waits(response: "httpx2.Response") -> None:
    """The client would wait as long as it is told to."""
    if response.status_code in TRANSIENT and (seconds := _asked(response)) > LONGEST_WAIT:
        raise LongPauseError(f"the Hub asks to be left alone for {seconds:,} seconds; come back after that")


def may_pass(error: Exception) -> bool:
    """Whether the same call may go well in a moment: a busy server, a cut connection, half an answer."""
    import httpx2

    cause = _cause(error)
    if (response := _response(cause)) is not None:
        return response.status_code in TRANSIENT
    nobody = isinstance(cause, httpx2.ConnectError)
    return isinstance(cause, (httpx2.HTTPError, json.JSONDecodeError)) and not nobody


@contextmanager
def in_a_sentence(repo: str) -> Iterator[None]:
    """Turn what the client raises into a PublishError about the repository, without any token."""
    import httpx2

    try:
        yield
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError, RuntimeError, *NOT_ASKED_FOR) as error:
        kind = MissingError if is_missing(error) else PublishError
        raise kind(f"{repo}: {sentence(error)}") from error


def is_missing(error: Exception) -> bool:
    """Whether there is no such repository, revision or file, or nobody may know of it without a token."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    hidden = isinstance(error, RepositoryNotFoundError) and not isinstance(error, GatedRepoError)
    return hidden or getattr(_response(error), "status_code", None) == 404


def sentence(error: Exception) -> str:
    """What went wrong, in one line; what the Hub answered comes without its host, query and request ids."""
    import httpx2

    cause = _cause(error)
    if (response := _response(cause)) is not None:
        status = response.status_code
        said = getattr(cause, "server_message", None)
        told = f"the Hub answers {status}{_to(response)}"
        told += f" ({plain(said)})" if said else ""
        told += f"; {HINTS[status]}" if status in HINTS else ""
    else:
        told = plain(str(cause)) or type(cause).__name__
        if isinstance(cause, httpx2.RequestError):
            told = f"no answer{_to(cause)}: {told}; {LATER}"
        if isinstance(cause, json.JSONDecodeError):
            told = f"what the Hub answers is no JSON ({told}); {LATER}"
        if isinstance(cause, KeyError):
            told = f"what the Hub answers says no {told}; {LATER}"
        elif isinstance(cause, NOT_ASKED_FOR):
            told = f"what the Hub answers is not what it was asked for ({told}); {LATER}"
    return sayable(told)


def plain(said: str) -> str:
    """What others wrote, in one line that holds no token and nothing that a terminal would obey."""
    return messages.sentence(sayable(str(said)))


def _to(asked: "httpx2.RequestError | httpx2.Response") -> str:
    try:
        return f" to {asked.request.method} {asked.request.url.path}"
    except RuntimeError:  # there is none
        return ""


def _cause(error: Exception) -> Exception:
    """What the RuntimeError of an upload was raised from; by Xet there are some of nothing else."""
    inner = error.__cause__
    return inner if type(error) is RuntimeError and isinstance(inner, Exception) else error


def _response(error: Exception) -> "httpx2.Response | None":
    return getattr(_cause(error), "response", None)
