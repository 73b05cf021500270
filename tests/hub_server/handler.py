"""HTTP in front of a HubServer."""

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from . import routes
from .faults import Mishaps
from .server import HubServer
from .web import Answer, Refusal, Request, json_answer

PIECE = 2**16


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body go in two writes
    hub: HubServer
    closing: threading.Event

    def answer(self) -> None:
        parts = urlsplit(self.path)
        call = f"{self.command} {unquote(parts.path)}"
        self.hub.calls.append(call)
        asked = re.match(r"bytes=(\d+)-", self.headers.get("range") or "")
        mishaps = self.hub.faults.take(call, int(asked[1]) if asked else 0)
        with suppress(ConnectionError):  # who asked may have gone
            request = Request(self.command, parts.path, parts.query, self.headers)
            came = self._read(request, mishaps)
            if mishaps.before:
                mishaps.before()
            if not came:
                return self._hang_up()
            if mishaps.hang:
                self.closing.wait()
                return self._hang_up()
            answer = self._answer(request, mishaps)
            if mishaps.cut == "after":
                return self._hang_up()
            self._send(answer, unquote(parts.path), mishaps)

    def _read(self, request: Request, mishaps: Mishaps) -> bool:
        """Whether the whole body came."""
        length = int(self.headers.get("content-length") or 0)
        if mishaps.cut == "before":
            return False
        if mishaps.cut == "within" and self.command == "PUT":
            self.rfile.read(length // 2)
            return False
        body = bytearray()
        if mishaps.within:
            body += self.rfile.read(length // 2)
            mishaps.within()
        for count in self._pieces(length - len(body), mishaps):
            body += self.rfile.read(count)
        request.body = bytes(body)
        return len(body) == length

    def _answer(self, request: Request, mishaps: Mishaps) -> Answer:
        if mishaps.fail:
            return mishaps.fail.answer()
        try:
            result = routes.answer(self.hub, request, mishaps.corrupt)
        except Refusal as refusal:
            return refusal.answer()
        return result if isinstance(result, Answer) else json_answer(result)

    def _send(self, answer: Answer, path: str, mishaps: Mishaps) -> None:
        self.send_response(answer.status)
        told = {"Content-Length": str(len(answer.body))}
        for name, value in (answer.headers | told | (mishaps.headers or {})).items():
            if value:
                self.send_header(name, value)
        within = mishaps.cut == "within"
        if within and (self.command == "HEAD" or not answer.body):
            return self._hang_up()  # the headers are not sent yet
        self.end_headers()
        if self.command == "HEAD":
            return
        start = 0
        for count in self._pieces(len(answer.body) // (2 if within else 1), mishaps):
            self.wfile.write(answer.body[start : start + count])
            start += count
            self.hub.sent[path] = self.hub.sent.get(path, 0) + count
        if within:
            self._hang_up()

    def _pieces(self, length: int, mishaps: Mishaps) -> Iterator[int]:
        """Sizes that add up to `length`, one after the other as fast as may be."""
        rate = mishaps.drip
        step = PIECE if rate is None else max(1, min(PIECE, int(rate / 20)))
        for start in range(0, length, step):
            count = min(step, length - start)
            if rate and self.closing.wait(count / rate):
                return
            yield count

    def _hang_up(self) -> None:
        self.close_connection = True

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.hub.now() if timestamp is None else timestamp)

    def log_message(self, *args: Any) -> None:
        pass

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815


class Server(ThreadingHTTPServer):
    """Keeps what its threads raised. Those who hang up in the middle of a call are no error of the server."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.raised: list[BaseException] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, ConnectionError):
            self.raised.append(error)


@contextmanager
def serving(folder: Path) -> Iterator[HubServer]:
    """A server on a free port of loopback, its state in `folder`, which may be another server's.

    Raises at the end what a call raised in it: no test passes over a mistake of the server.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hub, closing = HubServer(folder), threading.Event()
    handler = type("HubHandler", (Handler,), {"hub": hub, "closing": closing})
    server = Server(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
    if server.raised:
        raise server.raised[0]
