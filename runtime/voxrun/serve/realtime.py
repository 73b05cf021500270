"""The WebSocket endpoints: which protocol is spoken at which address, and one conversation of it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from .errors import Kind, RefusedError
from .protocols.mistral import Mistral
from .protocols.mlx_audio import MlxAudio, begins
from .protocols.openai import OpenAi
from .protocols.protocol import Protocol, converse
from .protocols.vllm import Vllm
from .protocols.voxmlx import Voxmlx
from .service import Service
from .socket import Socket, json_object

DIALECTS: dict[str, type[Protocol]] = {"openai": OpenAi, "vllm": Vllm, "voxmlx": Voxmlx}
"""The protocols of /v1/realtime, as a client may name them by `?dialect=`."""

Shown = Callable[[dict[str, Any]], type[Protocol] | None]
"""The fields of a client's message -> the protocol that they show, if they do."""

GOING_AWAY, POLICY = 1001, 1008
"""Codes with which a WebSocket is closed."""


def routes(service: Service) -> list[BaseRoute]:
    """The WebSocket endpoints."""

    async def realtime(websocket: WebSocket) -> None:
        named = by_address(websocket.query_params)
        await _converse(websocket, service, [Vllm, OpenAi] if named is None else [named], by_event)

    async def transcriptions(websocket: WebSocket) -> None:
        await _converse(websocket, service, [Mistral, MlxAudio], by_first)

    return [
        *_route("/v1/realtime", realtime),
        *_route("/v1/audio/transcriptions/realtime", transcriptions),
    ]


def _route(path: str, converse: Callable[[WebSocket], Awaitable[None]]) -> list[BaseRoute]:
    """A WebSocket endpoint; what comes without the upgrade is told."""
    return [WebSocketRoute(path, converse), Route(path, NoWebSocket())]


class NoWebSocket:
    """An ASGI application that tells a plain request, of any method, what the address is for."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises RefusedError."""
        url = Request(scope).url
        address = url.replace(scheme="wss" if url.scheme == "https" else "ws", query="")  # it may have a key
        raise RefusedError(Kind.NO_WEBSOCKET, f"this is a WebSocket address: {address}")


def by_address(query: Mapping[str, str]) -> type[Protocol] | None:
    """The protocol that an address names: OpenAI's clients do, others can."""
    return OpenAi if query.get("intent") == "transcription" else DIALECTS.get(query.get("dialect", ""))


def by_event(event: dict[str, Any]) -> type[Protocol] | None:
    """The protocol that an event shows: an update of OpenAI's has a session, one of vLLM's the model."""
    if isinstance(event.get("session"), dict):
        return OpenAi
    return Vllm if isinstance(event.get("model"), str) else None


def by_first(fields: dict[str, Any]) -> type[Protocol]:
    """The protocol that the first message shows: one of mlx-audio's is no event."""
    return MlxAudio if begins(fields) else Mistral


async def _converse(
    websocket: WebSocket, service: Service, spoken: list[type[Protocol]], shown: Shown
) -> None:
    """Until the client goes, sends nothing for too long, or the server ends."""
    await websocket.accept()
    socket = Socket(websocket, service.settings.limits.idle_seconds)
    conversation = Conversation([protocol(socket, service) for protocol in spoken], shown)
    socket.busy = lambda: conversation.busy
    try:
        with service.talking(socket):
            await socket.attend(_talk(socket, conversation))
    finally:
        await conversation.close()


async def _talk(socket: Socket, conversation: "Conversation") -> None:
    """All words that were heard are told before the end, whoever is the cause of it."""
    code = GOING_AWAY
    try:
        await conversation.greet()
        async for message in socket.messages():
            await conversation.hear(message)
        await conversation.end()
    except RefusedError as refusal:
        code = POLICY
        await conversation.end()
        await conversation.refuse(refusal)
    await socket.drain()
    await socket.close(code)


class Conversation:
    """One client's, in the first of some protocols, until one of its messages shows another."""

    def __init__(self, protocols: list[Protocol], shown: Shown) -> None:
        self._protocols, self._shown = protocols, shown
        self._early: list[tuple[str, str]] = []  # types and audio of events before the protocol is known

    async def greet(self) -> None:
        """What the server says first: OpenAI's first event has all that vLLM's clients look for, too."""
        greeter = next((each for each in self._protocols if isinstance(each, OpenAi)), self._protocols[0])
        await greeter.greet()

    @property
    def busy(self) -> bool:
        """Whether the model has not heard all audio yet."""
        live = self._protocols[0].live
        return live is not None and live.waiting > 0

    async def hear(self, message: str | bytes) -> None:
        """Take a message of the client."""
        try:
            event = await self._event(message)
        except RefusedError as refusal:
            await self.refuse(refusal)
            return
        taken = await converse(self._protocols[0], event)
        if taken and len(self._protocols) > 1 and isinstance(audio := event.get("audio"), str):
            self._early.append((event["type"], audio))  # nothing else, which may be large

    async def refuse(self, refusal: RefusedError) -> None:
        """Tell the client what ends the conversation."""
        await self._protocols[0].refused(refusal)

    async def end(self) -> None:
        """The client is not heard any more: tell it what was heard."""
        await self._protocols[0].end()

    async def close(self) -> None:
        """Drop what is not told."""
        for protocol in self._protocols:
            await protocol.close()

    async def _event(self, message: str | bytes) -> dict[str, Any]:
        """The event that a message is. Raises RefusedError."""
        binary = self._protocols[0].binary
        if binary is not None and isinstance(message, bytes):
            return {"type": binary, "audio": message}
        fields = await json_object(message)
        if len(self._protocols) > 1 and (spoken := self._shown(fields)) is not None:
            await self._settle(spoken)
        return self._protocols[0].event(fields)

    async def _settle(self, spoken: type[Protocol]) -> None:
        """From now on it is this protocol; another than the first takes what that one has taken."""
        first, early = self._protocols[0], self._early
        self._protocols = [protocol for protocol in self._protocols if isinstance(protocol, spoken)]
        self._early = []
        if self._protocols[0] is not first:
            await first.close()
            for type, audio in early:
                await converse(self._protocols[0], {"type": type, "audio": audio})
