"""START HERE: all endpoints of the server, one module each.

A request meets access control (`access.py`), then an endpoint: `realtime.py` for WebSockets, `http/` for
recordings, `page/` for browsers, `status.py` for supervisors. All audio goes to a live session (`live.py`) of
the one service (`service.py`), on the one model.
"""

from starlette.applications import Starlette

from . import access, realtime, status
from .http import errors, inference, models, transcriptions
from .page import routes as page
from .service import Service

ENDPOINTS = (page, realtime, transcriptions, inference, models, status)
"""Modules with `routes(service)`."""


def application(service: Service) -> Starlette:
    """The ASGI application."""
    routes = [route for module in ENDPOINTS for route in module.routes(service)]
    handlers = errors.handlers(service.metrics.refused)
    return Starlette(routes=routes, exception_handlers=handlers, middleware=access.middleware(service))
