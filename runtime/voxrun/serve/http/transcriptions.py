"""OpenAI's endpoint for recordings: a form in, a transcript out, whole or as events.

START: `Transcriptions.__call__`. The upload arrives (`upload.py`), its fields are read (`fields.py`), it is
decoded (`recording.py`) and heard (`hearing.py`), and an answer is made of the results (`answers.py`,
`events.py`).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.service import Service

from .answers import Answer, Json, answer_for
from .events import HEADERS, Event, events, sent
from .fields import Wish
from .gone import unless_gone
from .hearing import Hearing, heard
from .upload import received

MEDIA = {"vtt": "text/vtt"}
"""Of documents that are not plain text."""
WARNING_HEADER = "Voxrun-Warning"
"""What is wrong with the recording, where the body has no place for it."""


def routes(service: Service) -> list[BaseRoute]:
    """Transcriptions, and a refusal of translations."""
    transcriptions = Transcriptions(service)
    return [
        Route("/v1/audio/transcriptions", transcriptions, methods=["POST"]),
        Route("/v1/audio/translations", _translations, methods=["POST"]),
    ]


class Transcriptions:
    """An ASGI application for one path."""

    def __init__(self, service: Service, choose: Callable[[Wish], type[Answer]] = answer_for) -> None:
        """`choose`: the class of the answer that a form asks for."""
        self._service, self._choose = service, choose
        self._uploads = asyncio.Semaphore(service.settings.limits.sessions)  # on disk at the same time

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request. Raises RefusedError, as long as nothing was sent."""
        async with self._service.place():
            pass  # a server that is full, or ends, says so before the upload
        if self._uploads.locked():
            raise RefusedError(Kind.OVERLOADED, "too many uploads at the same time; try again later")
        request = Request(scope, receive)
        try:
            with self._service.answering():
                async with (
                    self._uploads,
                    received(request, self._service.settings.limits.upload_bytes) as form,
                ):
                    wish = Wish.of(form)
                    await unless_gone(receive, self._transcribe(wish, request, send))
        except ClientDisconnect:
            return

    async def _transcribe(self, wish: Wish, request: Request, send: Send) -> None:
        kind = self._choose(wish)
        async with heard(self._service, wish, kind.alternatives) as hearing:
            answer = kind(wish, hearing)
            if wish.stream and isinstance(answer, Json):
                rest = await _stream(events(wish, hearing, answer, self._service.metrics.refused), send)
            else:
                rest = await _whole(wish, hearing, answer)
        await rest(request.scope, request.receive, send)  # the place is free, however slow the client


async def _stream(told: AsyncGenerator[Event, None], send: Send) -> ASGIApp:
    """Send events while the model writes; the end of the response is returned."""
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async with aclosing(told) as each:
        async for event in each:
            await send({"type": "http.response.body", "body": sent(event), "more_body": True})
    return _no_more


async def _no_more(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.body"})


async def _whole(wish: Wish, hearing: Hearing, answer: Answer) -> Response:
    """The response, once all is heard."""
    async with aclosing(hearing.results()) as results:
        async for result in results:
            answer.add(result)
    body = answer.end()
    if isinstance(body, str):
        told = "; ".join(hearing.warnings).encode("ascii", "backslashreplace").decode()
        headers = {WARNING_HEADER: told} if told else {}
        return PlainTextResponse(body, headers=headers, media_type=MEDIA.get(wish.format, "text/plain"))
    return JSONResponse(body)


async def _translations(request: Request) -> Response:
    raise RefusedError(
        Kind.INVALID_REQUEST,
        "the model cannot translate; /v1/audio/transcriptions writes what is said, in its own language",
    )
