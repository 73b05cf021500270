"""The WebSocket endpoints: which protocol is spoken at which address, and one conversation of it."""

import asyncio
from time import time

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket

from .errors import RefusedError
from .protocols.protocol import Protocol, converse, new_id
from .protocols.vllm import Vllm
from .service import Service
from .socket import Socket, parsed


def routes(service: Service) -> list[BaseRoute]:
    """The WebSocket endpoints."""

    async def realtime(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = Socket(websocket)
        await _converse(socket, Vllm(socket, service))

    return [WebSocketRoute("/v1/realtime", realtime)]


async def _converse(socket: Socket, protocol: Protocol) -> None:
    """Until the client goes."""
    writer = asyncio.create_task(socket.write())
    try:
        await socket.send("session.created", id=new_id("sess-"), created=int(time()))
        async for message in socket.messages():
            try:
                event = parsed(message)
            except RefusedError as refusal:
                await protocol.refuse(refusal)
            else:
                await converse(protocol, event)
    finally:
        await protocol.close()
        writer.cancel()
