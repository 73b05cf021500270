"""One client's WebSocket: its messages in, events out in order, and nothing without a bound."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from .errors import Kind, RefusedError

MOST_EVENTS = 256
"""Events that wait for a client that does not read; then its own messages are not read either."""
LONG = 2**18
"""Characters of a message, which are parsed and decoded in some milliseconds; longer ones are in a thread."""
MOST_MARKS = 10_000
"""Commas and opening brackets of a long message: audio has none, and the parser lets no other thread run."""


class Socket:
    """Sends from a queue, so that a slow client holds back nobody but itself; reads one message ahead."""

    def __init__(self, websocket: WebSocket, idle_seconds: float | None = None) -> None:
        """`idle_seconds`: without a message, until `messages` gives up; None is never."""
        self._websocket, self._idle_seconds = websocket, idle_seconds
        self._events = asyncio.Queue[dict[str, Any]](MOST_EVENTS)
        self._ahead = asyncio.Queue[str | bytes](1)
        self._patience: asyncio.Timeout | None = None  # while a message is waited for
        self.busy: Callable[[], bool] = lambda: False
        """Whether the client waits for the server, and need not send anything."""
        self.ended = False
        """Whether the server ends."""

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address."""
        return dict(self._websocket.query_params)

    async def attend(self, talk: Coroutine[Any, Any, None]) -> None:
        """Carry on a talk over it until the talk is over, or cancel it as soon as the client has gone."""
        tasks = [asyncio.create_task(each) for each in (talk, self._read(), self._write())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def send(self, type: str, **fields: Any) -> None:
        """Queue an event; waits while too many wait."""
        await self._events.put({"type": type, **fields})

    async def messages(self) -> AsyncIterator[str | bytes]:
        """The client's messages, until the server ends. Raises RefusedError if none come for too long."""
        while not (self.ended and self._ahead.empty()):
            try:
                async with asyncio.timeout(self._idle_seconds) as self._patience:
                    message = await self._ahead.get()
            except TimeoutError:
                if self.ended or self.busy():
                    continue
                raise RefusedError(
                    Kind.IDLE, f"no message came for {self._idle_seconds:g} s; the connection is closed"
                ) from None
            finally:
                self._patience = None
            self._ahead.task_done()
            yield message

    def end(self) -> None:
        """The server ends: messages that come from now on are dropped."""
        self.ended = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(asyncio.get_running_loop().time())

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

    async def _read(self) -> None:
        """Until the client goes: the next message is read while one is being carried out, and no further."""
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if not self.ended:
                data: str | bytes | None = message.get("text")
                await self._ahead.put(message["bytes"] if data is None else data)
                await self._ahead.join()  # it is taken

    async def _write(self) -> None:
        """Send what is queued, until the client goes."""
        while True:
            event = await self._events.get()
            try:
                await self._websocket.send_text(_written(event))
            except (WebSocketDisconnect, RuntimeError):
                return
            self._events.task_done()


def _written(event: dict[str, Any]) -> str:
    """JSON; half a character that a client has sent (a lone surrogate) is escaped: UTF-8 has none."""
    return json.dumps(event, ensure_ascii=False).encode(errors="backslashreplace").decode()


async def json_object(message: str | bytes) -> dict[str, Any]:
    """The fields of a message. Raises RefusedError if it is no JSON object, or one of too many parts."""
    if len(message) <= LONG:
        return _json_object(message)
    text = message if isinstance(message, str) else message.decode("latin-1")
    if sum(map(text.count, ",[{")) > MOST_MARKS:
        raise RefusedError(
            Kind.INVALID_REQUEST, f"a message of {len(message):,} bytes may be audio, not so many fields"
        )
    return await asyncio.to_thread(_json_object, message)


def _json_object(message: str | bytes) -> dict[str, Any]:
    try:
        fields = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise RefusedError(Kind.INVALID_JSON, "Invalid JSON") from error
    if not isinstance(fields, dict):
        raise RefusedError(Kind.INVALID_JSON, "an event is a JSON object")
    return fields
