"""A server from its start to its end."""

import asyncio
import logging
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from .address import url, warn_if_open
from .app import application
from .connections import config
from .faults import show_faults
from .service import Service
from .settings import Settings

log = logging.getLogger("voxrun")
SPARE = 200
"""Open files beside the connections: weights, libraries."""
POLL = 0.02
"""Seconds between two looks at whether the server has started."""


class Server:
    """Serves until `stop` is called, which any thread and signal handlers may do."""

    def __init__(self, settings: Settings, sockets: list[socket.socket]) -> None:
        """`sockets`: where it listens, from `voxrun.serve.address.listening`."""
        self._settings, self._sockets = settings, sockets
        self._stop: Callable[[], object] = lambda: None
        self.stopped = False
        """Whether `stop` was called."""

    def run(self, ready: Callable[[], None]) -> bool:
        """Load the model, call `ready`, say so, and serve; returns whether all open sessions were finished.

        Raises VoxrunError if the model cannot be loaded.
        """
        _allow_files(self._settings.limits.connections + SPARE)
        return asyncio.run(self._run(ready))

    def stop(self) -> None:
        """End: no new sessions begin, and the open ones have `Settings.grace` seconds to finish."""
        self.stopped = True
        self._stop()

    async def _run(self, ready: Callable[[], None]) -> bool:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(show_faults().of_loop)
        service = Service(self._settings)
        await service.prepare()
        server = _Uvicorn(config(application(service), self._settings.limits))
        serving = asyncio.create_task(server.serve(self._sockets))
        while not (server.started or serving.done()):
            await asyncio.sleep(POLL)
        self._stop = lambda: loop.call_soon_threadsafe(stopping.set)
        ready()
        self._announce()
        await stopping.wait()
        finished = await service.end(self._settings.grace)
        server.should_exit = True
        await serving
        return finished

    def _announce(self) -> None:
        address, port, *_ = self._sockets[0].getsockname()
        warn_if_open(self._sockets, self._settings)
        base = url(address, port)
        log.info("serving %s at %s", self._settings.name, base)
        log.info("open it in a browser, or give apps %s/v1", base)


class _Uvicorn(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command's."""
        yield


def _allow_files(wanted: int) -> None:
    """Have the system allow so many open files, if it lets us: macOS begins with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            log.info("the system allows %d open files only, which limits the connections", soft)
