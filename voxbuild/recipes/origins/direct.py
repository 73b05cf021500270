"""Ranges of bytes received straight into a buffer, over connections that stay open.

The Hub's own client hands a body on in small pieces and copies each six times, which takes a processor five
times as long as receiving it. So ranges come by the standard library's client, which trusts the certificates
that the other one trusts. Whatever takes more than a request to one host is left to the Hub's client:
redirects, all requests of a machine that uses a proxy, and answers that the standard library cannot read.
"""

import re
import select
import ssl
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from urllib.request import getproxies

from voxbuild.errors import one_line

PLAIN = r"(https?)://([A-Za-z0-9._-]+(?::\d+)?|\[[0-9a-f:.]+\](?::\d+)?)(/[!\"$-~]*)"
"""URLs that are sent as they are, without a password or quoting: scheme, host, and target of the request."""


class CutError(Exception):
    """There is no connection, or it ended."""


class DirectAnswer:
    """An open answer, with what the checks need of the interface of the Hub client's answers."""

    def __init__(self, url: str, answer: HTTPResponse) -> None:
        self.url, self.status_code = url, answer.status
        self.headers = {name.lower(): text.strip() for name, text in answer.getheaders()}
        self._answer, self._left = answer, answer.length

    @property
    def is_error(self) -> bool:
        """Whether it is a refusal."""
        return self.status_code >= 400

    @property
    def is_whole(self) -> bool:
        """Whether all of the body was received."""
        return self._left == 0

    def close(self) -> None:
        """Receive no more."""
        self._answer.close()

    def iter_raw(self, chunk_bytes: int) -> Iterator[bytes]:
        """The body in pieces. Raises CutError."""
        with _cuts():
            while part := self._answer.read1(chunk_bytes):
                yield part

    def fill(self, into: memoryview) -> Iterator[int]:
        """Receive the body into a buffer of its length; how many bytes came, each time some did.

        Raises CutError.
        """
        assert self._left == len(into)
        with _cuts():
            while self._left and (count := self._answer.fp.readinto1(into[-self._left :])):
                self._left -= count
                yield count


class Direct:
    """Connections to the host of one URL. Any thread may ask, as long as plain answers come."""

    def __init__(self, url: str) -> None:
        has_proxy = any(getproxies().get(scheme) for scheme in ("http", "https", "all"))
        parts = re.fullmatch(PLAIN, url)
        self._is_usable = not has_proxy and parts is not None
        self._url = url
        self._scheme, self._host, self._target = parts.groups() if parts else ("", "", "")
        self._idle: list[HTTPConnection] = []
        weakref.finalize(self, _close, self._idle)

    @contextmanager
    def asked(self, headers: Mapping[str, str], timeout: float) -> Iterator[DirectAnswer | None]:
        """The open answer to a request; None: only the Hub's client can get it. Raises CutError."""
        connection = self._connected(timeout)
        answer = self._answer(connection, headers) if connection else None
        if connection is None or answer is None:
            yield None
            return
        try:
            yield answer
        finally:
            answer.close()
            if answer.is_whole and connection.sock:
                self._idle.append(connection)
            else:
                connection.close()

    def _answer(self, connection: HTTPConnection, headers: Mapping[str, str]) -> DirectAnswer | None:
        try:
            with _cuts():
                connection.request("GET", self._target, headers=dict(headers))
                answer = connection.getresponse()
                if answer.length and not answer.fp.peek(1):
                    raise CutError("the connection was closed within an answer's headers, or behind them")
        except HTTPException:  # more headers than http.client takes, or no HTTP
            self._leave(connection)
            return None
        except BaseException:
            connection.close()
            raise
        if answer.length is None or answer.status // 100 in (1, 3):
            answer.close()
            self._leave(connection)
            return None
        return DirectAnswer(self._url, answer)

    def _leave(self, connection: HTTPConnection) -> None:
        """Close it, and let the Hub's client ask from here on."""
        self._is_usable = False
        connection.close()

    def _connected(self, timeout: float) -> HTTPConnection | None:
        """A connection that nobody else uses; None if there is a proxy, or it is not trusted."""
        while self._is_usable:
            try:
                connection = self._idle.pop()
            except IndexError:
                return self._new(timeout)
            if not _is_over(connection):
                return connection
            connection.close()
        return None

    def _new(self, timeout: float) -> HTTPConnection | None:
        if self._scheme == "https":
            connection: HTTPConnection = HTTPSConnection(self._host, timeout=timeout, context=_trust())
        else:
            connection = HTTPConnection(self._host, timeout=timeout)
        with _cuts():
            try:
                connection.connect()
            except ssl.SSLError:
                self._leave(connection)
                return None
        return connection


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that the Hub's client trusts."""
    import httpx2

    return httpx2.create_ssl_context()


@contextmanager
def _cuts() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CutError(one_line(error) or type(error).__name__) from error


def _is_over(connection: HTTPConnection) -> bool:
    """Whether the server has closed an idle connection, which can then be read."""
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _close(connections: list[HTTPConnection]) -> None:
    for connection in connections:
        connection.close()
