"""START HERE: all endpoints of the server, one module each.

A request meets access control (`access.py`), then an endpoint: `realtime.py` for WebSockets, `http/` for the
rest. All audio goes to a live session (`live.py`) of the one service (`service.py`), on the one model.
"""

from starlette.applications import Starlette

from . import realtime
from .service import Service


def application(service: Service) -> Starlette:
    """The ASGI application."""
    return Starlette(routes=[*realtime.routes(service)])
