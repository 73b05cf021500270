"""Servers as processes: ours, one that computes for one session at a time, and mlx-audio's."""

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from runs import ROOT
from serve_dialects import OPENAI, VLLM, Dialect

START = 120.0
"""Seconds until a server must listen."""


@dataclass(frozen=True)
class Server:
    """A server that can be started on a port."""

    name: str
    dialect: Dialect
    model: str
    """Its name for clients."""
    command: Callable[[int], Sequence[str]]


def ours(model: Path, most: int) -> Server:
    """`voxrun serve` for at most so many sessions."""
    words = [sys.executable, "-m", "voxrun", "serve", "--model", str(model)]
    words += ["--max-sessions", str(most), "--port"]
    return Server("voxrun serve", VLLM, model.name, lambda port: [*words, str(port)])


def one_at_a_time(model: Path) -> Server:
    """The same model with a lock around it: each session's audio is computed alone."""
    words = [sys.executable, "-m", "benchmarks.workers.one_at_a_time", str(model)]
    return Server("voxrun, one session at a time", VLLM, model.name, lambda port: [*words, str(port)])


def mlx_audio(python: Path, model: Path) -> Server:
    """mlx-audio's, with its own default delay, which is that of the model."""
    words = [str(python), "-m", "mlx_audio.server", "--realtime-model", str(model), "--port"]
    return Server("mlx-audio", OPENAI, str(model), lambda port: [*words, str(port), "--host", "127.0.0.1"])


@dataclass(frozen=True)
class Running:
    """A server that listens."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """Of its WebSockets."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def processor_seconds(self) -> float:
        """That it has used so far, on Linux; else 0."""
        stat = Path(f"/proc/{self.pid}/stat")
        if not stat.exists():
            return 0.0
        ticks = stat.read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")

    def status(self, name: str) -> int:
        """A figure of its status on Linux, such as VmRSS (in kB) or Threads; else 0."""
        status = Path(f"/proc/{self.pid}/status")
        if not status.exists():
            return 0
        lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
        return int(lines[name].split()[0])

    @property
    def sockets(self) -> int:
        """That it has open, on Linux; else 0."""
        folder = Path(f"/proc/{self.pid}/fd")
        links = [str(link.readlink()) for link in folder.glob("*") if link.is_symlink()]
        return sum(link.startswith("socket:") for link in links)


@contextmanager
def running(server: Server) -> Iterator[Running]:
    """The server, until the block ends. Raises RuntimeError if it does not listen."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+b") as log:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}  # for the workers
        process = subprocess.Popen(server.command(port), cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait(process, port, Path(log.name))
            yield Running(port, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.1)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing was said"]
    raise RuntimeError(f"the server does not listen: {lines[-1][:200]}")


def more_files() -> None:
    """Sockets are files, of which a process may have few by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
