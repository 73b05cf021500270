"""A Hub on loopback with one repository at one commit, whose files come no faster than a rate.

    python -m benchmarks.workers.throttled_hub FOLDER MB_PER_S    # 0: as fast as it goes

It prints {"url": ...} when it serves; GET /sent tells how many bytes of files went out, and its processor
time. The sha256 of a file is read from NAME.sha256 beside the folder's file, as the Hub knows it without
reading the file.
"""

import json
import os
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0" * 40
PIECE = 2**18
RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Rate:
    """So many bytes per second for all connections together."""

    def __init__(self, bytes_per_second: float) -> None:
        self._rate, self._lock = bytes_per_second, threading.Lock()
        self._free_at = time.monotonic()

    def wait(self, count: int) -> None:
        """Until `count` more bytes may go."""
        if not self._rate:
            return
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic() - 0.05) + count / self._rate
            until = self._free_at
        time.sleep(max(0.0, until - time.monotonic()))


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    folder: Path
    rate: Rate
    sent = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        """A file, the list of files, or how much was sent."""
        if self.path == "/sent":
            self._json({"sent_bytes": Handler.sent, "server_s": time.process_time()})
        elif "/tree/" in self.path:
            self._json([self._entry(path) for path in self._files])
        else:
            self._file()

    def do_HEAD(self) -> None:
        """What is told of a file."""
        self._file()

    @property
    def _files(self) -> list[Path]:
        return [path for path in sorted(self.folder.iterdir()) if path.suffix != ".sha256"]

    def _entry(self, path: Path) -> dict[str, Any]:
        size, sha256 = path.stat().st_size, _sha256(path)
        lfs = {"oid": sha256, "size": size, "pointerSize": 100}
        return {"type": "file", "path": path.name, "size": size, "oid": sha256[:40], "lfs": lfs}

    def _json(self, value: Any) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self) -> None:
        path = self.folder / self.path.partition("?")[0].rpartition("/")[2]
        if "/resolve/" not in self.path or path not in self._files:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        size, asked = path.stat().st_size, RANGE.fullmatch(self.headers.get("range") or "")
        first, last = map(int, asked.groups()) if asked else (0, size - 1)
        last = min(last, size - 1)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        for name, value in (
            ("X-Repo-Commit", COMMIT),
            ("ETag", f'"{_sha256(path)}"'),
            ("X-Linked-Etag", f'"{_sha256(path)}"'),
            ("X-Linked-Size", str(size)),
            ("Content-Length", str(last - first + 1)),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.flush()
        if self.command == "GET":
            self._send(path, first, last + 1)

    def _send(self, path: Path, first: int, end: int) -> None:
        with path.open("rb") as file:
            while first < end:
                count = min(PIECE, end - first)
                self.rate.wait(count)
                done = os.sendfile(self.connection.fileno(), file.fileno(), first, count)
                first += done
                with Handler.lock:
                    Handler.sent += done

    def log_message(self, *args: Any) -> None:
        """Nothing is said of calls."""


class Server(ThreadingHTTPServer):
    """Clients that hang up are no error."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Told on stderr, unless it is that."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _sha256(path: Path) -> str:
    return path.with_name(f"{path.name}.sha256").read_text().strip()


def main(folder: str, rate: str) -> None:
    """Serve until it is killed."""
    Handler.folder, Handler.rate = Path(folder), Rate(float(rate) * 1e6)
    server = Server(("127.0.0.1", 0), Handler)
    print(json.dumps({"url": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
