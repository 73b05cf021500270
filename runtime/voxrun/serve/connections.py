"""Connections that cannot be held for ever: uvicorn's, with a time in which each must go on.

uvicorn itself waits without end for the head of a request, for its body, and for a client that reads nothing.
"""

import asyncio
import json
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .settings import Limits


def _refusal(status: str, message: str, type: str, code: str) -> bytes:
    error = json.dumps({"error": {"message": message, "type": type, "param": None, "code": code}})
    head = (
        f"HTTP/1.1 {status}",
        *("connection: close", "content-type: application/json", f"content-length: {len(error)}"),
    )
    return "\r\n".join((*head, "", error)).encode()


FULL = _refusal("503 Service Unavailable", "too many connections", "server_error", "overloaded")
NO_REQUEST = _refusal(
    "400 Bad Request", "this is no HTTP request", "invalid_request_error", "invalid_request"
)
NO_HANDSHAKE = _refusal(
    "400 Bad Request", "this is no WebSocket handshake", "invalid_request_error", "invalid_request"
)


class _Reading:
    """Cuts the connection of a client that takes nothing of what is sent to it."""

    limits: Limits
    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        transport.set_write_buffer_limits(high=0)  # whatever cannot be sent at once is noticed

    def pause_writing(self) -> None:
        super().pause_writing()  # type: ignore[misc]
        self._watch()

    def resume_writing(self) -> None:
        self._forget()
        super().resume_writing()  # type: ignore[misc]

    def connection_lost(self, error: Exception | None) -> None:
        self._forget()
        super().connection_lost(error)  # type: ignore[misc]

    def _watch(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        self._stuck = self.loop.call_later(self.limits.stuck_seconds, self._look, unsent)

    def _look(self, before: int) -> None:
        if self.transport.get_write_buffer_size() < before:
            self._watch()
        else:
            self.transport.abort()

    def _forget(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None


class _WebSocket(_Reading, WebSocketsSansIOProtocol):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(NO_HANDSHAKE)  # uvicorn would wait for ever
            self.transport.close()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # a refusal is an answer, too


class _Http(_Reading, H11Protocol):
    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.write(FULL)
            transport.close()
        else:
            self._expect()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._expect()

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):  # else it was answered before it went wrong
            self.transport.write(NO_REQUEST)
        self.transport.close()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._forget_due()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, error: Exception | None) -> None:
        self._forget_due()
        super().connection_lost(error)

    def _get_upgrade(self) -> bytes | None:
        """The protocol that is asked for.

        A list may come in several headers (RFC 9110, 5.3), as from LiveKit's plugin for Mistral, and uvicorn
        looks at the last one only.
        """
        named = dict(self.headers)
        parts = [value for name, value in self.headers if name == b"connection"]
        asked = b"upgrade" in [part.strip().lower() for part in b",".join(parts).split(b",")]
        return named[b"upgrade"].lower() if asked and b"upgrade" in named else None

    def _expect(self) -> None:
        """Wait for the rest of a head, or for more of a body."""
        if self.transport.get_protocol() is not self or self.transport.is_closing():
            return
        state = self.conn.their_state
        if state is h11.IDLE and self._due is None:
            self._due = self.loop.call_later(self.limits.head_seconds, self._late)
        elif state is not h11.IDLE:
            self._forget_due()
        if state is h11.SEND_BODY:
            self._due = self.loop.call_later(self.limits.idle_seconds, self._late)

    def _late(self) -> None:
        self._due = None
        if self.flow.read_paused:  # it is we who do not read
            self._expect()
        else:
            self.transport.abort()

    def _forget_due(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None


def config(app: Any, limits: Limits) -> Config:
    """How uvicorn serves an application."""
    return Config(
        app,
        http=type("Http", (_Http,), {"limits": limits}),
        ws=type("WebSocket", (_WebSocket,), {"limits": limits}),
        ws_max_size=limits.message_bytes,
        ws_ping_timeout=None,  # the answer waits behind audio that is not read yet
        ws_per_message_deflate=False,  # audio hardly shrinks
        log_config=None,
        access_log=False,  # addresses may have keys in them
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
