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

GOING_AWAY, POLICY = 1001, 1008
"""Codes with which a WebSocket is closed."""


def routes(service: Service) -> list[BaseRoute]:
    """The WebSocket endpoints."""

    async def realtime(websocket: WebSocket) -> None:
        await websocket.accept()
        socket = Socket(websocket, service.settings.limits.idle_seconds)
        with service.talking(socket):
            await _converse(socket, Vllm(socket, service))

    return [WebSocketRoute("/v1/realtime", realtime)]


async def _converse(socket: Socket, protocol: Protocol) -> None:
    """Until the client goes, sends nothing for too long, or the server ends."""
    writer = asyncio.create_task(socket.write())
    socket.busy = lambda: protocol.live is not None and protocol.live.waiting > 0
    try:
        await socket.send("session.created", id=new_id("sess-"), created=int(time()))
        try:
            async for message in socket.messages():
                await _answer(protocol, message)
            await protocol.end()
            code = GOING_AWAY
        except RefusedError as idle:
            await protocol.refuse(idle)
            code = POLICY
        await socket.drain()
        await socket.close(code)
    finally:
        await protocol.close()
        writer.cancel()


async def _answer(protocol: Protocol, message: str | bytes) -> None:
    try:
        event = parsed(message)
    except RefusedError as refusal:
        await protocol.refuse(refusal)
    else:
        await converse(protocol, event)
