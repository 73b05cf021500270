"""OpenAI's transcription sessions: items of audio, cut by the client or by turns, each with its transcript.

One session of the model lasts for the whole socket: a commit, a turn or a clear cuts the transcript and never
the audio. See openai-python, types/realtime; what a client may choose is in `openai_session.py`.
"""

import asyncio
from dataclasses import dataclass
from time import time
from typing import Any

from voxrun.arrays import FloatArray
from voxrun.messages import shown
from voxrun.serve.encodings import AudioDecoder
from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.live import LiveSession
from voxrun.serve.service import Service
from voxrun.serve.socket import Socket
from voxrun.stream.levels import Levels
from voxrun.stream.results import Result
from voxrun.stream.turns import Turns

from .openai_items import Items
from .openai_session import Choices, Json
from .protocol import Protocol, Timer, new_id, wrong

QUIET = 0.3
"""Seconds without audio after a commit, until its last words are told without waiting for more audio."""
QUIET_IN_TURN = 1.0
"""Seconds without audio that end a turn, at least: a client that is muted sends no silence."""
TYPES = {
    Kind.FAILED: "server_error",
    Kind.ENDING: "server_error",
    Kind.OVERLOADED: "rate_limit_error",
    Kind.UNAUTHORIZED: "authentication_error",
    Kind.FORBIDDEN: "permission_error",
}
"""Of errors; of all others: invalid_request_error."""
CODES = {Kind.WRONG_ORDER: "input_audio_buffer_commit_empty"}
"""Of errors; of all others: their kind."""


@dataclass
class Stream:
    """The session of the model, from the first audio on, and what is made of its words."""

    live: LiveSession
    items: Items
    turns: Turns
    levels: Levels
    decoder: AudioDecoder | None = None
    """Of what comes; None before the first audio, and after a flush."""
    n_heard: int = 0
    """Samples that the model was given."""
    n_before: int = 0
    """Of them, before those of the present decoder."""

    @property
    def seconds(self) -> float:
        """Of audio that came, what the change of rate holds back included."""
        decoded = self.decoder.seconds if self.decoder is not None else 0.0
        return self.n_before / self.live.transcriber.rate + decoded

    async def hear(self, samples: FloatArray) -> None:
        """Take samples at the model's rate."""
        self.levels.hear(samples)
        self.n_heard += len(samples)
        await self.live.hear(samples)

    async def finish_decoder(self) -> None:
        """Have the model hear what the change of rate holds back."""
        if self.decoder is not None:
            samples, self.decoder = self.decoder.finish(), None
            self.n_before = self.n_heard + len(samples)
            await self.hear(samples)


class OpenAi(Protocol):
    """One client's conversation."""

    name = "openai"
    fields_of = "session."

    def __init__(self, socket: Socket, service: Service) -> None:
        super().__init__(socket, service)
        self._id = new_id("sess_")
        self._choices = Choices(model=service.settings.name)
        self._stream: Stream | None = None
        self._last_item: str | None = None
        self._client_event: str | None = None  # the id of the event that is being taken
        self._in_order = asyncio.Lock()  # held until all is sent of a client's event, or of the model's words
        self._quiet = Timer()
        self._flushing: asyncio.Task[None] | None = None

    async def greet(self) -> None:
        """The first event; it also has what clients of other protocols look for."""
        await self._send("session.created", id=self._id, created=int(time()), session=self._session())

    async def take(self, event: dict[str, Any]) -> None:
        """One event of the client. Raises RefusedError."""
        self._client_event = event["event_id"] if isinstance(event.get("event_id"), str) else None
        match event["type"]:
            case "session.update":
                await self._update(event.get("session"))
                await self._send("session.updated", session=self._session())
            case "transcription_session.update":
                await self._update(event.get("session"))
                await self._send("transcription_session.updated", session=self._session(beta=True))
            case "input_audio_buffer.append":
                await self._append(event.get("audio"))
            case "input_audio_buffer.commit":
                await self._commit()
            case "input_audio_buffer.clear":
                await self._clear()
            case other:
                raise RefusedError(Kind.UNKNOWN_EVENT, f"unknown event type: {shown(other)}", "type")
        self._client_event = None

    async def _update(self, session: Any) -> None:
        before, new = self._choices, self._choices.updated(session)
        await self.decoder(new.encoding, new.rate)  # it is possible
        if new.options != before.options:
            if self._stream is not None:
                raise wrong(
                    "delay, temperature and logprobs must be chosen before the first audio", "session"
                )
            await self.check(**new.options)
        async with self._in_order:
            self._choices, stream = new, self._stream
            if stream is not None:
                stream.turns.pause = new.pause
        if stream is not None and (new.encoding, new.rate) != (before.encoding, before.rate):
            await stream.finish_decoder()  # which waits for a client that is slow to read

    async def _append(self, audio: Any) -> None:
        self._stop_timer()
        try:
            decoder = self._stream.decoder if self._stream is not None else None
            decoder = decoder or await self.decoder(self._choices.encoding, self._choices.rate)
            samples = await self.decoded(decoder, audio)
            stream = self._stream or await self._begin()  # what cannot be decoded takes no place
            stream.decoder = decoder
            async with self._in_order:  # not while the client is slow to read
                if self._choices.turns is None:
                    await stream.items.opened()
            await stream.hear(samples)
        finally:
            self._start_timer()

    async def _begin(self) -> Stream:
        live = await self.open(**self._choices.options)
        levels = Levels(live.transcriber.rate)
        turns = Turns(live.transcriber.tokenizer, self._choices.pause, levels.quiet_since)
        items = Items(self._send, live.transcriber, self._last_item)
        self._stream = Stream(live, items, turns, levels)
        return self._stream

    async def _commit(self) -> None:
        async with self._in_order:
            stream = self._stream
            if stream is None or stream.seconds <= stream.items.cut_at:
                raise RefusedError(Kind.WRONG_ORDER, "the input audio buffer is empty: append audio first")
            stream.turns.cut(stream.seconds)
            await stream.items.commit(stream.seconds)
        self._start_timer()

    async def _clear(self) -> None:
        async with self._in_order:
            stream = self._stream
            if stream is not None and stream.seconds > stream.items.cut_at:
                stream.turns.cut(stream.seconds)
                stream.items.clear(stream.seconds)
            await self._send("input_audio_buffer.cleared")
        self._start_timer()

    def _start_timer(self) -> None:
        """Flush when no audio comes for a while, if words are waited for."""
        self._stop_timer()
        if self._stream is not None and self._stream.items.waiting:
            quiet = QUIET
        elif self._choices.pause is not None:
            quiet = max(QUIET_IN_TURN, self._choices.pause.after_word)
        else:
            return
        self._quiet.start(quiet, self._flush_soon)

    def _stop_timer(self) -> None:
        self._quiet.stop()
        if self._flushing is not None:
            self._flushing.cancel()  # it has done its work, or must not

    def _flush_soon(self) -> None:
        self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        if (stream := self._stream) is not None:
            at = stream.seconds
            await stream.finish_decoder()
            stream.live.flush(at)

    async def end_audio(self) -> None:
        """Commit what is not committed, and have all items completed."""
        if (stream := self._stream) is not None:
            if stream.seconds > stream.items.cut_at:
                await self._commit()
            self._stop_timer()
            at = stream.seconds
            await stream.finish_decoder()
            self.finish(at)

    async def heard(self, result: Result) -> None:
        """The items' events."""
        async with self._in_order:
            if (stream := self._stream) is not None:
                await stream.items.tell(stream.turns.feed(result.tokens), self._choices)
                await stream.items.tell_draft(result.draft)

    async def reached(self, tag: Any) -> None:
        """The stream was flushed, when it had these seconds."""
        async with self._in_order:
            if (stream := self._stream) is not None:
                await stream.items.tell(stream.turns.flushed(tag), self._choices)

    async def refuse(self, refusal: RefusedError) -> None:
        """An error, after which the socket stays open; if the model failed, no item gets its words."""
        error = {
            "type": TYPES.get(refusal.kind, "invalid_request_error"),
            "code": CODES.get(refusal.kind, str(refusal.kind)),
            "message": str(refusal),
            "param": refusal.param,
        }
        if refusal.kind is Kind.FAILED and self._stream is not None:
            await self._stream.items.fail(error)
        await self._send("error", error={**error, "event_id": self._client_event})
        self._client_event = None

    async def close(self) -> None:
        """End the session, if there is one."""
        self._stop_timer()
        if self._stream is not None:
            self._last_item, self._stream = self._stream.items.last, None
        await super().close()

    def _session(self, beta: bool = False) -> Json:
        """The session, as its client is shown it."""
        chosen = self._choices.shown_to_beta() if beta else self._choices.shown()
        return {"id": self._id, "object": "realtime.transcription_session", "type": "transcription", **chosen}

    async def _send(self, type: str, **fields: Any) -> None:
        """An event, with an id of its own."""
        await self.socket.send(type, event_id=new_id("event_"), **fields)
