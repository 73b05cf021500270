"""A file on the Hub that is received range by range, by several threads, and never lies on the disk.

Ranges come from where the Hub's own client would download the file: the Hub, or a signed URL elsewhere, which
is asked for again when it expires. A cut connection goes on at its byte.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from voxbuild.errors import SourceError, UnreachableError, one_line

from .hub_errors import clear_errors, without_queries
from .ranges import TIMEOUT, asked, header_of, plain, size_of

if TYPE_CHECKING:  # slow to import, and most tasks do not use the Hub
    from .direct import Direct

DELAYS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Seconds to wait before the next attempt, after so many failures without a byte in between."""
LONGEST_WAIT = 120.0
"""Seconds to wait at most if the server says how long."""
BUSY = (408, 429, 500, 502, 503, 504)
"""The answers that may be others a moment later."""
EXPIRED = (400, 401, 403, 404, 410)
"""What a signed URL may answer when it is not valid any more."""
ON_DISK = "download it instead: fetch=disk"


@dataclass(frozen=True)
class Told:
    """What the Hub says of a file at a commit."""

    size: int
    etag: str | None
    commit: str | None

    @property
    def sha256(self) -> str | None:
        """Of the file's bytes, if it is stored by LFS; git's hash of others is another one."""
        return self.etag if re.fullmatch("[0-9a-f]{64}", self.etag or "") else None


@dataclass
class _Place:
    """Where ranges come from."""

    url: str
    headers: Mapping[str, str]
    """With the token, if it is the Hub itself."""
    is_hub: bool
    direct: "Direct"
    etag: str | None = None
    """Of the first answer; all others must have the same."""
    lock: Lock = field(default_factory=Lock)

    @contextmanager
    def asked(self, first: int, count: int) -> Iterator[Any]:
        """The open answer to a request for a range, whatever it says; straight from the host if it can be."""
        with self.direct.asked({**self.headers, **header_of(first, count)}, TIMEOUT) as answer:
            if answer:
                yield answer
                return
        with asked(self.url, self.headers, first, count) as other:
            yield other


class Stopped(Exception):  # noqa: N818
    """Nobody waits for the bytes any more."""


class _Failed(Exception):  # noqa: N818
    """An attempt that may succeed when it is repeated, after `wait` seconds if the server says so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class _Patience:
    """Waits after a failure, longer after each in a row, and gives up."""

    def __init__(self, file: "RemoteFile", stop: Event) -> None:
        self._file, self._stop, self._failures = file, stop, 0

    def restore(self) -> None:
        """After progress."""
        self._failures = 0

    @contextmanager
    def at(self, place: int) -> Iterator[None]:
        """Let attempts to receive the byte at `place` fail. Raises UnreachableError, Stopped."""
        try:
            yield
        except _Failed as error:
            if self._failures == len(DELAYS):
                raise UnreachableError(
                    f"{self._file}: nothing came from byte {place:,} on, in {self._failures + 1} attempts"
                    f" ({error}); run it again: what was converted is kept"
                ) from error
            wait = DELAYS[self._failures] if error.wait is None else error.wait
            self._failures += 1
            if self._stop.wait(min(wait, LONGEST_WAIT)):
                raise Stopped from error


class RemoteFile:
    """One file of a repository at a commit. Any thread may call it."""

    def __init__(self, repo: str, revision: str, name: str) -> None:
        self._repo, self._revision, self._name = repo, revision, name
        self._lock = Lock()
        self._told: Told | None = None
        self._place: _Place | None = None

    def __str__(self) -> str:
        return f"{self._repo}/{self._name}"

    def told(self) -> Told:
        """Its size and hash. Raises SourceError if the Hub does not tell them, UnreachableError."""
        patience = _Patience(self, Event())
        with clear_errors(self._repo, self._revision):
            while self._told is None:
                with patience.at(0), _failures():
                    self._located()
        return self._told

    def receive(self, first: int, into: memoryview, stop: Event) -> None:
        """Fill `into` with the bytes from `first`.

        Raises SourceError for other bytes than those that were asked for, or if the file has changed;
        UnreachableError after too many failures in a row; Stopped if `stop` is set meanwhile.
        """
        patience, done = _Patience(self, stop), 0
        with clear_errors(self._repo, self._revision):
            while done < len(into):
                with patience.at(first + done), _failures():
                    for count in self._fill(first + done, into[done:]):
                        if stop.is_set():
                            raise Stopped
                        done += count
                        patience.restore()
                    if done < len(into):
                        raise _Failed("the connection was closed")

    def _fill(self, first: int, into: memoryview) -> Iterator[int]:
        """How many bytes came, each time some did, from an answer that is what was asked for."""
        from .direct import DirectAnswer

        place = self._located()
        with place.asked(first, len(into)) as answer:
            if answer.status_code in EXPIRED and not place.is_hub:
                self._leave(place)
                raise _Failed(f"{plain(place.url)} answers {answer.status_code}: its signature has expired")
            self._check(answer, place, first, len(into))
            if str(answer.url) != place.url:
                self._move(place, str(answer.url))
            yield from answer.fill(into) if isinstance(answer, DirectAnswer) else self._copied(answer, into)

    def _copied(self, answer: Any, into: memoryview) -> Iterator[int]:
        for part in answer.iter_raw():
            if len(part) > len(into):
                raise SourceError(f"{self}: the server sends more bytes than it says; {ON_DISK}")
            into[: len(part)] = part
            into = into[len(part) :]
            yield len(part)

    def _check(self, answer: Any, place: _Place, first: int, count: int) -> None:
        told, etag = self._told, answer.headers.get("etag")
        assert told
        if answer.status_code == 416:
            raise self._changed(f"it has no bytes from {first:,}")
        if (size := size_of(answer, first, count, ON_DISK)) != told.size:
            raise self._changed(f"{size:,} bytes instead of {told.size:,}")
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise SourceError(f"{plain(answer.url)}: the server sends ranges encoded; {ON_DISK}")
        with place.lock:
            place.etag = place.etag or etag
            if place.etag != etag:
                raise self._changed(f"the ETag {etag} instead of {place.etag}")

    def _located(self) -> _Place:
        """The place to ask; the Hub is asked for it once, and when it was left."""
        with self._lock:
            if self._place is None:
                self._place = self._ask()
            return self._place

    def _leave(self, place: _Place) -> None:
        with self._lock:
            if self._place is place:  # otherwise another thread left it already
                self._place = None

    def _move(self, place: _Place, url: str) -> None:
        """Ask where the Hub redirects to, without the detour."""
        with self._lock:
            if self._place is place:
                self._place = self._place_at(url)

    def _ask(self) -> _Place:
        from huggingface_hub import get_hf_file_metadata

        said = get_hf_file_metadata(self._url, timeout=TIMEOUT)
        if said.size is None:
            raise SourceError(f"{self}: the Hub does not tell its size; {ON_DISK}")
        told = Told(said.size, said.etag, said.commit_hash)
        if told.commit not in (None, self._revision):
            raise self._changed(f"the commit {told.commit} instead of {self._revision}")
        if self._told not in (None, told):
            raise self._changed("the Hub tells another size or hash than before")
        self._told = told
        return self._place_at(said.location)

    def _place_at(self, url: str) -> _Place:
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        from .direct import Direct

        at_hub = urlsplit(url)[:2] == urlsplit(self._url)[:2]
        headers = build_hf_headers() if at_hub else build_hf_headers(token=False)
        return _Place(url, headers, at_hub, Direct(url))

    @property
    def _url(self) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self._repo, self._name, revision=self._revision)

    def _changed(self, how: str) -> SourceError:
        return SourceError(
            f"{self} at {self._revision}: it changed while it was received ({how}); find out why, and"
            " fetch it again"
        )


@contextmanager
def _failures() -> Iterator[None]:
    """Turn errors of the connection, and answers of a busy server, into _Failed."""
    from huggingface_hub import errors

    from .direct import CutError

    try:
        yield
    except errors.HfHubHTTPError as error:
        if error.response.status_code not in BUSY:
            raise
        wait = error.response.headers.get("retry-after", "")
        raise _Failed(_said(error), float(wait) if wait.isdecimal() else None) from error
    except (errors.HTTPError, CutError) as error:  # type: ignore[attr-defined]
        raise _Failed(_said(error) or type(error).__name__) from error


def _said(error: Exception) -> str:
    return without_queries(one_line(error))
