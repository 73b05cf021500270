"""The page and its files, with headers that let it load nothing from elsewhere."""

from pathlib import Path

from starlette.datastructures import MutableHeaders
from starlette.responses import FileResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voxrun.serve.service import Service

FOLDER = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; media-src blob:; "  # a file that was opened, for its length
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
    ),
    "Cache-Control": "no-cache",  # asked again each time, so that a newer server's page is used at once
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def routes(service: Service) -> list[BaseRoute]:
    """`/` and `/page/...`, which are the same for every service."""

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        await FileResponse(FOLDER / "index.html")(scope, receive, send)

    return [
        Route("/", WithHeaders(page), methods=["GET"]),
        Mount("/page", WithHeaders(StaticFiles(directory=FOLDER))),
    ]


class WithHeaders:
    """Adds `HEADERS` to every answer of another application."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, send_with_headers)
