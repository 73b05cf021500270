"""What the protocols have in common: a client's events in, a live session, the protocol's events out."""

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from voxrun.arrays import FloatArray
from voxrun.serve.encodings import MOST_BYTES, AudioDecoder
from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.live import LiveSession, Reached
from voxrun.serve.service import Service
from voxrun.serve.socket import LONG, Socket
from voxrun.stream.results import Result, Word

OPTIONS = {
    "target_streaming_delay_ms": "delay_ms",
    "draft_streaming_delay_ms": "draft_ms",
    "temperature": "temperature",
}
"""Options of a session that a client can set in any protocol -> their names in `Session`."""

FIELDS = {ours: theirs for theirs, ours in OPTIONS.items()}
"""The other way around."""


class Protocol(ABC):
    """One client's conversation. A new protocol implements the abstract methods."""

    name: str
    """In the metrics."""
    fields_of = ""
    """What the names of `FIELDS` begin with in errors."""
    binary: str | None = None
    """The type of the event that a binary message is; None: it is JSON, as a text."""

    def __init__(self, socket: Socket, service: Service) -> None:
        self.socket, self.service = socket, service
        self.ending = False
        """Whether the server ends the conversation."""
        self.live: LiveSession | None = None
        """The session in progress."""
        self._stack = AsyncExitStack()
        self._listener: asyncio.Task[None] | None = None
        self._finishing = False

    @abstractmethod
    async def greet(self) -> None:
        """What the server says first."""

    def event(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The event that a message with these fields is. Raises RefusedError."""
        if not isinstance(fields.get("type"), str):
            raise RefusedError(Kind.INVALID_REQUEST, "the event has no type", "type")
        return fields

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

    async def refused(self, refusal: RefusedError) -> None:
        """Count a refusal, and tell it."""
        self.service.metrics.refused(refusal.kind)
        await self.refuse(refusal)

    async def open(self, **options: Any) -> LiveSession:
        """Begin a session; the options are those of `Session`. Raises RefusedError."""
        with self._naming_fields():
            self.live = live = await self._stack.enter_async_context(
                self.service.session(protocol=self.name, **options)
            )
        self._listener = asyncio.create_task(self._listen(live))
        return live

    async def decoder(self, encoding: Any, rate: Any, most_bytes: int = MOST_BYTES) -> AudioDecoder:
        """A decoder of the client's audio to the model's rate. Raises RefusedError."""
        async with self.service.shelf.lent() as transcriber:
            return AudioDecoder(encoding, rate, transcriber.rate, most_bytes)

    async def decoded(self, decoder: AudioDecoder, audio: Any) -> FloatArray:
        """The samples [n] of a message; no other client waits for a long one. Raises RefusedError."""
        if isinstance(audio, str | bytes) and len(audio) > LONG:
            return await asyncio.to_thread(decoder.feed, audio)
        return decoder.feed(audio)

    async def check(self, **options: Any) -> None:
        """Raise RefusedError if no session can have these options, which a client sets before its audio."""
        with self._naming_fields():
            await self.service.check(**options)

    def finish(self, tag: object = None) -> None:
        """End the audio of the session in progress, if there is one and it has not ended yet."""
        if self.live is not None and not self._finishing:
            self._finishing = True
            self.live.finish(tag)

    async def finished(self) -> None:
        """Wait for the end of a session that is being finished: what comes now belongs to the next one."""
        if self._finishing and self._listener is not None:
            await asyncio.wait([self._listener])

    async def end(self) -> None:
        """The server ends it: tell all that was heard so far, as if the client had ended its audio."""
        self.ending = True
        if (listener := self._listener) is not None:
            await self.end_audio()
            await asyncio.wait([listener])

    @abstractmethod
    async def end_audio(self) -> None:
        """Have the session in progress finished, which may be finishing already."""

    async def close(self) -> None:
        """End the session, if there is one, and drop what it has not told."""
        self.live, self._finishing = None, False
        listener, self._listener = self._listener, None
        stack, self._stack = self._stack, AsyncExitStack()
        await stack.aclose()
        if listener is not None and listener is not asyncio.current_task():
            listener.cancel()
            await asyncio.wait([listener])

    @contextmanager
    def _naming_fields(self) -> Iterator[None]:
        """A refused option is named as the field in which the client sent it."""
        try:
            yield
        except RefusedError as refusal:
            if (field := FIELDS.get(refusal.param or "")) is None:
                raise
            raise RefusedError(refusal.kind, str(refusal), f"{self.fields_of}{field}") from refusal

    async def _listen(self, live: LiveSession) -> None:
        try:
            async for told in live:
                if isinstance(told, Reached):
                    await self.reached(told.tag)
                else:
                    await self.heard(told)
        except RefusedError as refusal:
            await self.refused(refusal)
            await self.close()


@dataclass
class Utterance:
    """What the model has written since the client was last told that a text is complete."""

    texts: list[str] = field(default_factory=list)
    words: list[dict[str, Any]] = field(default_factory=list)
    """As `timed` writes them."""
    n_tokens: int = 0
    """Control tokens, too."""
    draft: str = ""
    """What the client was told last of what is not final."""

    def redrafted(self, result: Result) -> bool:
        """Whether there is another draft now, which the client is to be told."""
        before, self.draft = self.draft, result.draft
        return self.draft != before

    def add(self, result: Result) -> None:
        """What is new."""
        self.n_tokens += len(result.tokens)
        self.texts.append(result.text)
        self.words += timed(result.words)

    @property
    def text(self) -> str:
        """All of it, without the space that the first word begins with."""
        return "".join(self.texts).strip()


class Timer:
    """Does something after a while, unless it is stopped."""

    def __init__(self) -> None:
        self._handle: asyncio.TimerHandle | None = None

    def start(self, seconds: float, act: Callable[[], None]) -> None:
        """From now on; what it was to do before, it does not."""
        self.stop()
        self._handle = asyncio.get_running_loop().call_later(seconds, self._act, act)

    def stop(self) -> bool:
        """Whether it was still to act; now it is not."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.cancel()
        return handle is not None

    def _act(self, act: Callable[[], None]) -> None:
        self._handle = None
        act()


async def converse(protocol: Protocol, event: dict[str, Any]) -> bool:
    """Let a protocol take one event, and say whether it did; what it refuses is told to the client."""
    try:
        await protocol.take(event)
    except RefusedError as refusal:
        await protocol.refused(refusal)
        return False
    return True


def new_id(kind: str) -> str:
    """A name for a session, an item or an event, such as sess_4f..."""
    return f"{kind}{uuid.uuid4().hex[:24]}"


def timed(words: Iterable[Word]) -> list[dict[str, Any]]:
    """Words with their times in seconds, as all protocols write them."""
    return [
        {"word": word.text.strip(), "start": round(word.start, 3), "end": round(word.end, 3)}
        for word in words
    ]


def options(fields: dict[str, Any]) -> dict[str, Any]:
    """The options of a session (`Session`) among the fields of a client's update."""
    return {ours: fields[theirs] for theirs, ours in OPTIONS.items() if fields.get(theirs) is not None}


def usage(n_prompt: int, n_tokens: int) -> dict[str, int]:
    """How many tokens a session has had: of its prompt, and written."""
    return {"prompt_tokens": n_prompt, "completion_tokens": n_tokens, "total_tokens": n_prompt + n_tokens}


def wrong(message: str, param: str | None = None) -> RefusedError:
    """A refusal of an impossible value."""
    return RefusedError(Kind.INVALID_REQUEST, message, param)
