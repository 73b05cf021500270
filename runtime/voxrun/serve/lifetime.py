"""A server from its start to its end."""

import uvicorn

from .app import application
from .service import Service
from .settings import Settings


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        application(Service(settings)),
        host=settings.host,
        port=settings.port,
        ws="websockets-sansio",
        ws_max_size=settings.limits.message_bytes,
        log_level="warning",
    )
    uvicorn.Server(config).run()
