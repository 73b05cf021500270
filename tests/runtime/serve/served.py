"""A server in a thread of the test's process, on a free port."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import uvicorn
from committed import CHECKPOINT

from voxrun.serve.app import application
from voxrun.serve.connections import config
from voxrun.serve.service import Service
from voxrun.serve.settings import Settings
from voxrun.transcriber import Transcriber

PLAIN = Settings(folder=CHECKPOINT, name="tiny")


@dataclass(frozen=True)
class Served:
    """A running server."""

    port: int
    service: Service
    transcriber: Transcriber
    """The same model, to compare with."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@contextmanager
def served(transcriber: Transcriber, settings: Settings = PLAIN) -> Iterator[Served]:
    """A server that runs until the block ends; it uses the transcriber that is given, and loads none."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        service = Service(replace(settings, port=port))
        service.shelf._transcriber = transcriber
        server = uvicorn.Server(config(application(service), settings.limits))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Served(port, service, transcriber)
        finally:
            server.should_exit = True
            thread.join()
