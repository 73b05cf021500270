"""The WebSocket endpoints: which protocol is spoken at which address, and one conversation of it."""

import asyncio
from collections.abc import Mapping
from typing import Any

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from .errors import RefusedError
from .protocols.openai import OpenAi
from .protocols.protocol import Protocol, converse
from .protocols.vllm import Vllm
from .service import Service
from .socket import Socket, parsed

DIALECTS: dict[str, type[Protocol]] = {"openai": OpenAi, "vllm": Vllm}
"""Protocols of /v1/realtime, as an address names them: ?dialect=NAME."""


def routes(service: Service) -> list[BaseRoute]:
    """The WebSocket endpoints."""

    async def realtime(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = Socket(websocket)
        if (named := by_address(socket.query)) is not None:
            await _converse(socket, named(socket, service))
        else:
            await _converse(socket, Vllm(socket, service), or_else=OpenAi(socket, service))

    return [WebSocketRoute("/v1/realtime", realtime)]


def by_address(query: Mapping[str, str]) -> type[Protocol] | None:
    """The protocol that an address names, as OpenAI's clients do, or by `dialect`."""
    return OpenAi if query.get("intent") == "transcription" else DIALECTS.get(query.get("dialect", ""))


def by_event(event: dict[str, Any]) -> type[Protocol] | None:
    """The protocol of a client's event: OpenAI's has a session object, vLLM's the model itself."""
    if isinstance(event.get("session"), dict):
        return OpenAi
    return Vllm if isinstance(event.get("model"), str) else None


async def _converse(socket: Socket, protocol: Protocol, or_else: Protocol | None = None) -> None:
    """Until the client goes. If an event shows that the other protocol is spoken, that one goes on.

    The other one also greets: its first event has all that the clients of both look for.
    """
    writer = asyncio.create_task(socket.write())
    try:
        await (or_else or protocol).greet()
        async for message in socket.messages():
            try:
                event = parsed(message)
            except RefusedError as refusal:
                await protocol.refuse(refusal)
                continue
            if or_else is not None and (spoken := by_event(event)) is not None:
                protocol, or_else = (or_else if isinstance(or_else, spoken) else protocol), None
            await converse(protocol, event)
    finally:
        await protocol.close()
        writer.cancel()
