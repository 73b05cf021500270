"""The server's WebSocket protocols, as a hostile client needs them: how each begins, sends, and ends."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from server_wire import ClosedError, Wire, connected, framed, upgraded

Event = dict[str, Any]
KEY = "fuzz-key"
BEARER = {"Authorization": f"Bearer {KEY}"}


@dataclass(frozen=True)
class Dialect:
    """One protocol."""

    name: str
    path: str
    first: tuple[Event, ...]
    """What a client says before its audio."""
    append: str
    """The event with audio; "" is a binary message."""
    others: tuple[Event, ...]
    """What else it may say."""
    end: Event
    final: str
    """The event that the server ends the text with."""
    text: str
    """Its field."""
    error: Callable[[Event], bool]
    """Whether an event is an error in the protocol's form."""
    greets: bool = True

    def audio(self, data: bytes) -> str | bytes:
        """A message with these bytes of audio."""
        if not self.append:
            return data
        return json.dumps({"type": self.append, "audio": base64.b64encode(data).decode()})


def _of_openai(event: Event) -> bool:
    error = event["error"]
    return {"type", "code", "message", "param"} <= error.keys() and bool(error["message"])


def _of_vllm(event: Event) -> bool:
    """vLLM's error; OpenAI's clients come to the same address, and an event may look like one of theirs."""
    if isinstance(event["error"], dict):
        return _of_openai(event)
    return bool(event["error"]) and bool(event["code"])


BUFFER = "input_audio_buffer"
APPEND = f"{BUFFER}.append"
SESSION = {"type": "transcription", "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}}}
DIALECTS = (
    Dialect(
        "vllm",
        "/v1/realtime",
        ({"type": "session.update", "model": "any"}, {"type": f"{BUFFER}.commit"}),
        APPEND,
        ({"type": f"{BUFFER}.commit", "final": False}, {"type": f"{BUFFER}.clear"}),
        {"type": f"{BUFFER}.commit", "final": True},
        *("transcription.done", "text"),
        _of_vllm,
    ),
    Dialect(
        "openai",
        "/v1/realtime?intent=transcription",
        ({"type": "session.update", "session": SESSION},),
        APPEND,
        ({"type": f"{BUFFER}.clear"}, {"type": f"{BUFFER}.commit"}),
        {"type": f"{BUFFER}.commit"},
        *("conversation.item.input_audio_transcription.completed", "transcript"),
        _of_openai,
    ),
    Dialect(
        "voxmlx",
        "/v1/realtime?dialect=voxmlx",
        (),
        APPEND,
        ({"type": f"{BUFFER}.commit"}, {"type": f"{BUFFER}.clear"}),
        {"type": f"{BUFFER}.commit", "final": True},
        *("response.audio_transcript.done", "text"),
        lambda event: isinstance(event["message"], str),
    ),
    Dialect(
        "mistral",
        "/v1/audio/transcriptions/realtime",
        ({"type": "session.update", "session": {"target_streaming_delay_ms": 480}},),
        "input_audio.append",
        ({"type": "input_audio.flush"},),
        {"type": "input_audio.end"},
        *("transcription.done", "text"),
        lambda event: isinstance(event["error"]["code"], int),
    ),
    Dialect(
        "mlx-audio",
        "/v1/audio/transcriptions/realtime",
        ({"model": "any", "sample_rate": 16000, "streaming": True},),
        "",
        (),
        {"action": "stop"},
        *("complete", "text"),
        lambda event: bool(event["error"]),
    ),
)


@dataclass
class Talk:
    """A conversation with the server."""

    wire: Wire
    dialect: Dialect
    heard: list[Event] = field(default_factory=list)

    async def say(self, *messages: Event | str | bytes) -> None:
        """Send events, text or audio."""
        for message in messages:
            await self.wire.send(framed(json.dumps(message) if isinstance(message, dict) else message))

    async def until(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event of this kind. Raises ClosedError."""
        while True:
            event = await self.wire.event()
            if not ("type" in event or "status" in event):
                raise AssertionError(f"an event without a type: {event}")
            self.heard.append(event)
            if wanted(event):
                return event

    async def error(self) -> Event:
        """The next error, in the protocol's form. Raises ClosedError."""
        event = await self.until(lambda event: event.get("type") == "error")
        assert self.dialect.error(event), f"no error in {self.dialect.name}'s form: {event}"
        return event

    async def alive(self) -> None:
        """The server still answers at this socket: an unknown event is an error."""
        if self.dialect.append:
            await self.say({"type": "are.you.there"})
            while "are.you.there" not in str(await self.error()):
                pass
        else:
            await self.say(self.dialect.end)
            with suppress(ClosedError):  # it is a goodbye, too
                await self.until(lambda event: event.get("type") == self.dialect.final)


@asynccontextmanager
async def talking(port: int, dialect: Dialect, *, begin: bool = True) -> AsyncIterator[Talk]:
    """A conversation, after what a client says first."""
    async with connected(port) as wire:
        status = await upgraded(wire, dialect.path, BEARER)
        assert status == 101, f"the handshake was answered by {status}"
        talk = Talk(wire, dialect)
        if begin:
            await talk.say(*dialect.first)
        yield talk


async def witness(port: int, dialect: Dialect, audio: bytes, expected: str, chance: random.Random) -> None:
    """A session beside all others, whose transcript must be exact. Raises AssertionError."""
    async with talking(port, dialect) as talk:
        for start in range(0, len(audio), 6400):
            await talk.say(dialect.audio(audio[start : start + 6400]))
            await asyncio.sleep(chance.random() * 0.05)
        await talk.say(dialect.end)
        final = await talk.until(lambda event: event.get("type") == dialect.final)
        assert final[dialect.text] == expected, f"the witness heard {final}"
