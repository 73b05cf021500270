"""What the protocols have in common: a client's events in, a live session, the protocol's events out."""

import asyncio
import uuid
from abc import ABC, abstractmethod
from contextlib import AsyncExitStack
from typing import Any

from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.live import LiveSession, Reached
from voxrun.serve.service import Service
from voxrun.serve.socket import Socket
from voxrun.stream.results import Result, Word


class Protocol(ABC):
    """One client's conversation. A new protocol implements `take`, `heard`, `reached` and `refuse`."""

    name: str
    """In the metrics."""

    def __init__(self, socket: Socket, service: Service) -> None:
        self.socket, self.service = socket, service
        self.live: LiveSession | None = None
        """The session in progress."""
        self._stack = AsyncExitStack()
        self._listener: asyncio.Task[None] | None = None

    @abstractmethod
    async def take(self, event: dict[str, Any]) -> None:
        """One event of the client. Raises RefusedError."""

    @abstractmethod
    async def heard(self, result: Result) -> None:
        """Tell the client what the model has written."""

    @abstractmethod
    async def reached(self, tag: Any) -> None:
        """All before a `flush` or `finish` of the session has been told."""

    @abstractmethod
    async def refuse(self, refusal: RefusedError) -> None:
        """Tell the client what is refused."""

    async def open(self, **options: Any) -> LiveSession:
        """Begin a session; the options are those of `Session`. Raises RefusedError."""
        self.live = live = await self._stack.enter_async_context(
            self.service.session(protocol=self.name, **options)
        )
        self._listener = asyncio.create_task(self._listen(live))
        return live

    async def end(self) -> None:
        """The server ends: tell all that was heard so far, as if the client had ended its audio."""
        listener = self._listener
        self.finish()
        if listener is not None:
            await asyncio.wait([listener])

    def finish(self) -> None:
        """End the audio of the session in progress, if there is one and it has not ended yet."""
        if self.live is not None:
            self.live.finish()

    async def close(self) -> None:
        """End the session, if there is one, and drop what it has not told."""
        self.live = None
        listener, self._listener = self._listener, None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()
        if listener is not None and listener is not asyncio.current_task():
            listener.cancel()
            await asyncio.wait([listener])

    async def _listen(self, live: LiveSession) -> None:
        try:
            async for told in live:
                if isinstance(told, Reached):
                    await self.reached(told.tag)
                else:
                    await self.heard(told)
        except RefusedError as refusal:
            await self.refuse(refusal)
            await self.close()


async def converse(protocol: Protocol, event: dict[str, Any]) -> None:
    """Let a protocol take one event; what it refuses, and what fails, is told to the client."""
    try:
        await protocol.take(event)
    except RefusedError as refusal:
        protocol.service.metrics.refused(refusal.kind)
        await protocol.refuse(refusal)


def new_id(kind: str) -> str:
    """A name for a session, an item or an event, such as sess_4f..."""
    return f"{kind}{uuid.uuid4().hex[:24]}"


def timed(words: tuple[Word, ...]) -> list[dict[str, Any]]:
    """Words with their times in seconds, as all protocols write them."""
    return [
        {"word": word.text.strip(), "start": round(word.start, 3), "end": round(word.end, 3)}
        for word in words
    ]


def wrong(message: str, param: str | None = None) -> RefusedError:
    """A refusal of an impossible value."""
    return RefusedError(Kind.INVALID_REQUEST, message, param)
