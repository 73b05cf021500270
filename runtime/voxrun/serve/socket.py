"""One client's WebSocket: its messages in, events out in order, and nothing without a bound."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from .errors import Kind, RefusedError

MOST_EVENTS = 256
"""Events that wait for a client that does not read; then its own messages are not read either."""


class Socket:
    """Sends from a queue, so that a slow client holds back nobody but itself."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._events = asyncio.Queue[dict[str, Any]](MOST_EVENTS)

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address."""
        return dict(self._websocket.query_params)

    async def send(self, type: str, **fields: Any) -> None:
        """Queue an event; waits while too many wait."""
        await self._events.put({"type": type, **fields})

    async def messages(self) -> AsyncIterator[str | bytes]:
        """The client's messages, until it goes."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data: str | bytes | None = message.get("text")
            yield message["bytes"] if data is None else data

    async def write(self) -> None:
        """Send what is queued, for ever; ends when the client is gone."""
        while True:
            event = await self._events.get()
            try:
                await self._websocket.send_text(json.dumps(event, ensure_ascii=False))
            except (WebSocketDisconnect, RuntimeError):
                return
            finally:
                self._events.task_done()

    async def drain(self) -> None:
        """Wait until all queued events are sent."""
        await self._events.join()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it, if it is still open."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            await self._websocket.close(code, reason)


def parsed(message: str | bytes) -> dict[str, Any]:
    """A client's event. Raises RefusedError if it is no JSON object with a type."""
    try:
        event = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Kind.INVALID_JSON, "Invalid JSON") from error
    if not isinstance(event, dict):
        raise RefusedError(Kind.INVALID_JSON, "an event is a JSON object")
    if not isinstance(event.get("type"), str):
        raise RefusedError(Kind.INVALID_REQUEST, "the event has no type", "type")
    return event
