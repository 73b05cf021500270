"""START HERE: all endpoints of the server, one module each.

A request meets access control (`access.py`), then an endpoint: `realtime.py` for WebSockets, `http/` for
recordings, `status.py` for supervisors. All audio goes to a live session (`live.py`) of the one service
(`service.py`), on the one model.
"""

from starlette.applications import Starlette

from . import access, realtime, status
from .service import Service


def application(service: Service) -> Starlette:
    """The ASGI application."""
    routes = [*realtime.routes(service), *status.routes(service)]
    return Starlette(routes=routes, middleware=access.middleware(service))
