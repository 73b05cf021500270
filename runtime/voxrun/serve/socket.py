"""One client's WebSocket: its messages in, events out in order, and nothing without a bound."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from .errors import Kind, RefusedError

MOST_EVENTS = 256
"""Events that wait for a client that does not read; then its own messages are not read either."""


class Socket:
    """Sends from a queue, so that a slow client holds back nobody but itself."""

    def __init__(self, websocket: WebSocket, idle_seconds: float | None = None) -> None:
        """`idle_seconds`: without a message, until `messages` gives up; None is never."""
        self._websocket, self._idle_seconds = websocket, idle_seconds
        self._events = asyncio.Queue[dict[str, Any]](MOST_EVENTS)
        self._patience: asyncio.Timeout | None = None  # while a message is waited for
        self.busy: Callable[[], bool] = lambda: False
        """Whether the client waits for the server, and need not send anything."""
        self.ended = False
        """Whether the server ends."""

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address."""
        return dict(self._websocket.query_params)

    async def send(self, type: str, **fields: Any) -> None:
        """Queue an event; waits while too many wait."""
        await self._events.put({"type": type, **fields})

    async def messages(self) -> AsyncIterator[str | bytes]:
        """The client's messages, until it goes or the server ends. Raises RefusedError if none come."""
        while not self.ended:
            try:
                async with asyncio.timeout(self._idle_seconds) as self._patience:
                    message = await self._websocket.receive()
            except TimeoutError:
                if self.ended or self.busy():
                    continue
                raise RefusedError(
                    Kind.IDLE, f"no message came for {self._idle_seconds:g} s; the connection is closed"
                ) from None
            finally:
                self._patience = None
            if message["type"] == "websocket.disconnect":
                return
            data: str | bytes | None = message.get("text")
            yield message["bytes"] if data is None else data

    def end(self) -> None:
        """The server ends: no more messages are read."""
        self.ended = True
        if self._patience is not None:
            self._patience.reschedule(asyncio.get_running_loop().time())

    async def write(self) -> None:
        """Send what is queued, for ever; what comes after the client has gone is dropped."""
        gone = False
        while True:
            event = await self._events.get()
            try:
                if not gone:
                    await self._websocket.send_text(_written(event))
            except (WebSocketDisconnect, RuntimeError):
                gone = True
            finally:
                self._events.task_done()

    async def drain(self) -> None:
        """Wait until all queued events are sent."""
        await self._events.join()

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it, if it is still open."""
        if self._websocket.application_state is WebSocketState.CONNECTED:
            try:
                await self._websocket.close(code, reason)
            except (WebSocketDisconnect, RuntimeError):
                return  # the client was faster


def _written(event: dict[str, Any]) -> str:
    """JSON; half a character that a client has sent (a lone surrogate) is escaped: UTF-8 has none."""
    return json.dumps(event, ensure_ascii=False).encode(errors="backslashreplace").decode()


def parsed(message: str | bytes) -> dict[str, Any]:
    """A client's event. Raises RefusedError if it is no JSON object with a type."""
    event = json_object(message)
    if not isinstance(event.get("type"), str):
        raise RefusedError(Kind.INVALID_REQUEST, "the event has no type", "type")
    return event


def json_object(message: str | bytes) -> dict[str, Any]:
    """The fields of a message. Raises RefusedError if it is no JSON object."""
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Kind.INVALID_JSON, "Invalid JSON") from error
    if not isinstance(fields, dict):
        raise RefusedError(Kind.INVALID_JSON, "an event is a JSON object")
    return fields
