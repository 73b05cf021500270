"""The WebSocket endpoints: which protocol is spoken at which address, and one conversation of it."""

import asyncio

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from .errors import RefusedError
from .protocols.mistral import Mistral
from .protocols.protocol import Protocol, converse
from .protocols.vllm import Vllm
from .protocols.voxmlx import Voxmlx
from .service import Service
from .socket import Socket

DIALECTS: dict[str, type[Protocol]] = {"voxmlx": Voxmlx}
"""What a client chooses by `?dialect=`, where its messages do not tell it."""


def routes(service: Service) -> list[BaseRoute]:
    """The WebSocket endpoints."""

    async def realtime(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = Socket(websocket)
        protocol = DIALECTS.get(socket.query.get("dialect", ""), Vllm)
        await _converse(socket, protocol(socket, service))

    async def transcriptions(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = Socket(websocket)
        await _converse(socket, Mistral(socket, service))

    return [
        WebSocketRoute("/v1/realtime", realtime),
        WebSocketRoute("/v1/audio/transcriptions/realtime", transcriptions),
    ]


async def _converse(socket: Socket, protocol: Protocol) -> None:
    """Until the client goes."""
    writer = asyncio.create_task(socket.write())
    try:
        await protocol.greet()
        async for message in socket.messages():
            try:
                event = protocol.event(message)
            except RefusedError as refusal:
                await protocol.refuse(refusal)
            else:
                await converse(protocol, event)
    finally:
        await protocol.close()
        writer.cancel()
