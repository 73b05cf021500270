"""OpenAI's transcription sessions: items of audio, cut by the client or by turns, each with its transcript.

One session of the model lasts for the whole socket: a commit, a turn or a clear cuts the transcript and never
the audio. See openai-python, types/realtime; what a client may choose is in `openai_session.py`.
"""

import asyncio
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from time import time
from typing import Any

from voxrun.arrays import FloatArray
from voxrun.serve.encodings import AudioDecoder
from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.service import Service
from voxrun.serve.socket import Socket
from voxrun.stream.levels import Levels
from voxrun.stream.results import Result, Token, Word
from voxrun.stream.turns import Event, Passed, Said, Spoken, Started, Stopped, Turns

from .openai_session import Choices
from .protocol import Protocol, new_id, timed, wrong

QUIET = 0.3
"""Seconds without audio after a commit, until its last words are told without waiting for more audio."""
QUIET_IN_TURN = 1.0
"""Seconds without audio that end a turn, at least: a client that sends nothing does not send silence."""
TRANSCRIPTION = "conversation.item.input_audio_transcription"
TYPES = {
    Kind.FAILED: "server_error",
    Kind.ENDING: "server_error",
    Kind.OVERLOADED: "rate_limit_error",
    Kind.UNAUTHORIZED: "authentication_error",
    Kind.FORBIDDEN: "permission_error",
}
"""Of errors; of all others: invalid_request_error."""
CODES = {Kind.WRONG_ORDER: "input_audio_buffer_commit_empty"}


@dataclass
class Item:
    """A stretch of audio and its transcript."""

    before: str | None
    """The id of the item before it."""
    start: float
    """In seconds of all audio."""
    id: str = field(default_factory=lambda: new_id("item_"))
    dropped: bool = False
    """The client cleared it."""
    end: float = 0.0
    text: str = ""
    words: list[Word] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    """Its text tokens."""


@dataclass
class Delta:
    """What is new of an item, not told yet."""

    text: str = ""
    words: list[Word] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)


class OpenAi(Protocol):
    """A client's items: those that are cut and wait for their last words, and the open one."""

    def __init__(self, socket: Socket, service: Service) -> None:
        super().__init__(socket, service)
        self.id = new_id("sess_")
        self._choices = Choices(model=service.settings.name)
        self._in_order = asyncio.Lock()  # of a client's event, or of the model's words, until all is sent
        self._client_event: str | None = None  # the id of the event that is being taken
        self._last_item: str | None = None
        self._begin_again()

    def _begin_again(self) -> None:
        """As before the first audio."""
        self._decoder: AudioDecoder | None = None
        self._turns: Turns | None = None
        self._cut: deque[Item] = deque()
        self._open: Item | None = None
        self._cut_at = 0.0
        self._fed = 0  # samples, before those of the present decoder
        self._decoded = 0  # samples
        self._draft = ""
        self._timer: asyncio.TimerHandle | None = None
        self._flushing: asyncio.Task[None] | None = None

    def session(self, beta: bool = False) -> dict[str, Any]:
        """The session, as its client is shown it."""
        shown = self._choices.shown_to_beta() if beta else self._choices.shown()
        return {"id": self.id, "object": "realtime.transcription_session", "type": "transcription", **shown}

    async def send(self, type: str, **fields: Any) -> None:
        """An event, with an id of its own."""
        await self.socket.send(type, event_id=new_id("event_"), **fields)

    async def greet(self) -> None:
        """The first event; it also has what clients of other protocols look for."""
        await self.send("session.created", id=self.id, created=int(time()), session=self.session())

    async def take(self, event: dict[str, Any]) -> None:
        """One event of the client. Raises RefusedError."""
        self._client_event = event["event_id"] if isinstance(event.get("event_id"), str) else None
        match event["type"]:
            case "session.update" | "transcription_session.update" as type:
                await self._update(event.get("session"), beta=type.startswith("transcription"))
            case "input_audio_buffer.append":
                await self._append(event.get("audio"))
            case "input_audio_buffer.commit":
                await self._commit()
            case "input_audio_buffer.clear":
                await self._clear()
            case other:
                raise RefusedError(Kind.UNKNOWN_EVENT, f"unknown event type: {other}", "type")
        self._client_event = None

    async def _update(self, session: Any, *, beta: bool) -> None:
        new = self._choices.updated(session)
        if self.live is not None and new.options != self._choices.options:
            raise wrong(
                "delays, temperature and logprobs can be chosen only before the first audio", "session"
            )
        await self.decoder(new.encoding, new.rate)  # it is possible
        if new.options != self._choices.options:
            await self.check(**new.options)
        async with self._in_order:
            if (new.encoding, new.rate) != (self._choices.encoding, self._choices.rate):
                await self._finish_decoder()
            self._choices = new
            if self._turns is not None:
                self._turns.pause = new.pause
            type = "transcription_session.updated" if beta else "session.updated"
            await self.send(type, session=self.session(beta))

    async def _append(self, audio: Any) -> None:
        self._stop_timer()
        try:
            if self.live is None:
                await self._start()
            if self._decoder is None:
                self._decoder = await self.decoder(self._choices.encoding, self._choices.rate)
            samples = self._decoder.feed(audio)
            if self._choices.pause is None:
                async with self._in_order:
                    await self._opened()
            await self._hear(samples)
        finally:
            self._start_timer()

    async def _start(self) -> None:
        live = await self.open(**self._choices.options)
        self._levels = Levels(live.transcriber.rate)
        self._turns = Turns(live.transcriber.tokenizer, self._choices.pause, self._levels.quiet_since)

    @property
    def _seconds(self) -> float:
        """Of audio that came so far."""
        if self.live is None:
            return 0.0
        held = self._decoder.seconds if self._decoder is not None else 0.0
        return self._fed / self.live.transcriber.rate + held

    async def _commit(self) -> None:
        async with self._in_order:
            at = self._seconds
            if at <= self._cut_at:
                raise RefusedError(Kind.WRONG_ORDER, "the input audio buffer is empty: append audio first")
            item = await self._opened()
            self._cut_off(item, at)
            self._cut.append(item)
            await self._committed(item)
            assert self._turns is not None  # there is audio
            self._turns.cut(at)
            self._start_timer()

    async def _clear(self) -> None:
        async with self._in_order:
            at = self._seconds
            if at > self._cut_at and self._turns is not None:
                item = self._open or Item(self._last_item, self._cut_at)
                item.dropped = True
                self._cut_off(item, at)
                self._cut.append(item)
                self._turns.cut(at)
                self._start_timer()
            await self.send("input_audio_buffer.cleared")

    def _start_timer(self) -> None:
        """Flush when no audio comes for a while, if words are waited for."""
        self._stop_timer()
        quiet = QUIET
        if not self._cut:
            if self._choices.pause is None:
                return
            quiet = max(QUIET_IN_TURN, self._choices.pause.after_word)
        self._timer = asyncio.get_running_loop().call_later(quiet, self._flush_soon)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._flushing is not None:
            self._flushing.cancel()  # it has begun, or never will

    def _flush_soon(self) -> None:
        self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        if (live := self.live) is not None:
            at = self._seconds
            await self._finish_decoder()
            live.flush(at)

    async def _finish_decoder(self) -> None:
        """Have the model hear what the change of rate held back; the next audio gets another decoder."""
        if self._decoder is not None and self.live is not None:
            samples, self._decoder = self._decoder.finish(), None
            self._fed = self._decoded + len(samples)
            await self._hear(samples)

    async def _hear(self, samples: FloatArray) -> None:
        if self.live is not None:
            self._levels.hear(samples)
            self._decoded += len(samples)
            await self.live.hear(samples)

    async def heard(self, result: Result) -> None:
        """The items' events."""
        async with self._in_order:
            if self._turns is not None:
                await self._tell(self._turns.feed(result.tokens))
                await self._tell_draft(result.draft)

    async def reached(self, tag: Any) -> None:
        """The stream was flushed."""
        async with self._in_order:
            if self._turns is not None:
                await self._tell(self._turns.flushed(tag))

    async def _tell(self, events: Iterable[Event]) -> None:
        delta = Delta()
        for event in events:
            match event:
                case Said():
                    delta.text += event.text
                    delta.tokens.append(event.token)
                case Spoken():
                    delta.words.append(event.word)
                case Started() | Stopped() | Passed():
                    await self._tell_delta(delta)
                    delta = Delta()
                    await self._turned(event)
        await self._tell_delta(delta)

    async def _turned(self, event: Started | Stopped | Passed) -> None:
        match event:
            case Started():
                if self._choices.pause is not None and not self._cut:
                    await self._speech_started(event.at)
            case Stopped():
                item = await self._opened()
                self._cut_off(item, event.until)
                at = math.ceil(event.until * 1000)
                await self.send("input_audio_buffer.speech_stopped", audio_end_ms=at, item_id=item.id)
                await self._committed(item)
                await self._completed(item)
            case Passed():
                await self._completed(self._cut.popleft())

    async def _speech_started(self, at: float) -> None:
        item = await self._opened()
        assert self._choices.turns is not None
        start = max(item.start, at - self._choices.turns.prefix_padding_ms / 1000)
        await self.send(
            "input_audio_buffer.speech_started", audio_start_ms=round(start * 1000), item_id=item.id
        )

    async def _opened(self) -> Item:
        """The open item; a new one is announced."""
        if self._open is None:
            before = next((item.id for item in reversed(self._cut) if not item.dropped), self._last_item)
            self._open = item = Item(before, self._cut_at)
            await self.send("conversation.item.added", previous_item_id=before, item=_shown(item))
        return self._open

    def _cut_off(self, item: Item, at: float) -> None:
        self._open = None
        self._cut_at = item.end = at

    async def _committed(self, item: Item) -> None:
        self._last_item = item.id
        await self.send("input_audio_buffer.committed", item_id=item.id, previous_item_id=item.before)

    async def _tell_delta(self, delta: Delta) -> None:
        if not (delta.text or delta.words or delta.tokens):
            return
        item = self._cut[0] if self._cut else await self._opened()
        text = delta.text if item.text else delta.text.lstrip()
        item.text += text
        item.words += delta.words
        item.tokens += delta.tokens
        if (text or delta.words) and not item.dropped:
            await self._send_of(
                item, "delta", delta=text, words=timed(delta.words), **self._logprobs(delta.tokens)
            )

    async def _tell_draft(self, draft: str) -> None:
        if draft != self._draft:
            self._draft = draft
            item = self._cut[0] if self._cut else await self._opened()
            if not item.dropped:
                await self._send_of(item, "draft", text=draft)

    async def _completed(self, item: Item) -> None:
        if item.dropped:
            return
        assert self.live is not None
        positions = round((item.end - item.start) * self.live.transcriber.model.config.audio.frame_rate)
        usage = {
            "type": "tokens",
            "input_tokens": positions,
            "input_token_details": {"audio_tokens": positions, "text_tokens": 0},
            "output_tokens": len(item.tokens),
            "total_tokens": positions + len(item.tokens),
        }
        await self._send_of(
            item,
            "completed",
            transcript=item.text.strip(),
            words=timed(item.words),
            usage=usage,
            **self._logprobs(item.tokens),
        )

    async def _send_of(self, item: Item, kind: str, **fields: Any) -> None:
        await self.send(f"{TRANSCRIPTION}.{kind}", item_id=item.id, content_index=0, **fields)

    def _logprobs(self, tokens: list[Token]) -> dict[str, Any]:
        if not self._choices.logprobs or self.live is None:
            return {}
        tokenizer = self.live.transcriber.tokenizer
        entries = []
        for token in tokens:
            data = tokenizer.text_bytes(token.id)
            logprob = math.log(max(token.alternatives[0].probability, 1e-30))
            entries.append({"token": data.decode(errors="replace"), "bytes": list(data), "logprob": logprob})
        return {"logprobs": entries}

    async def refuse(self, refusal: RefusedError) -> None:
        """An error, after which the socket stays open; if the model failed, no item gets its words."""
        error = {
            "type": TYPES.get(refusal.kind, "invalid_request_error"),
            "code": CODES.get(refusal.kind, str(refusal.kind)),
            "message": str(refusal),
            "param": refusal.param,
        }
        if refusal.kind is Kind.FAILED:
            for item in [*self._cut, *filter(None, [self._open])]:
                if not item.dropped:
                    await self._send_of(item, "failed", error=error)
        await self.send("error", error={**error, "event_id": self._client_event})
        self._client_event = None

    async def close(self) -> None:
        """End the session, if there is one."""
        self._stop_timer()
        await super().close()
        self._begin_again()


def _shown(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "object": "realtime.item",
        "type": "message",
        "status": "in_progress",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
