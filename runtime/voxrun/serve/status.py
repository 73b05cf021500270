"""What supervisors and monitoring ask: GET /health and GET /metrics."""

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from .service import Service


def routes(service: Service) -> list[BaseRoute]:
    """The endpoints."""

    async def health(request: Request) -> Response:
        state = {
            "status": "ending" if service.ending else "ok",
            "model": service.settings.name,
            "loaded": service.shelf.loaded,
            "sessions": service.sessions,
        }
        return JSONResponse(state, 503 if service.ending else 200)

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return [Route("/health", health), Route("/metrics", metrics)]
