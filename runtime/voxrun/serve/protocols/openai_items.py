"""The items of a transcription session: stretches of audio, with the events that tell their transcripts."""

import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from voxrun.stream.results import Token, Word
from voxrun.stream.turns import Event, Passed, Said, Spoken, Started, Stopped
from voxrun.transcriber import Transcriber

from .openai_session import Choices, Json
from .protocol import new_id, timed

TRANSCRIPTION = "conversation.item.input_audio_transcription"


@dataclass
class Item:
    """A stretch of audio and its transcript."""

    start: float
    """In seconds of all audio."""
    before: str | None
    """The id of the committed item before it."""
    id: str = field(default_factory=lambda: new_id("item_"))
    end: float = 0.0
    dropped: bool = False
    """The client cleared it."""
    text: str = ""
    words: list[Word] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    """Its text tokens."""
    draft: str = ""
    """What the client was told of what is not final."""

    def add(self, delta: "Delta") -> str:
        """The new text; an item does not begin with a space."""
        text = delta.text if self.text else delta.text.lstrip()
        self.text += text
        self.words += delta.words
        self.tokens += delta.tokens
        return text


@dataclass
class Delta:
    """What is new of an item and not told yet."""

    text: str = ""
    words: list[Word] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)


class Items:
    """At most one item is open for new audio; those before it are cut, and may wait for their last words."""

    def __init__(
        self, send: Callable[..., Awaitable[None]], transcriber: Transcriber, last: str | None
    ) -> None:
        """`send(type, **fields)` sends an event; `last`: the id of the last committed item."""
        self._send, self._transcriber = send, transcriber
        self.last, self.cut_at = last, 0.0
        """Where the open item begins, in seconds of all audio."""
        self._open: Item | None = None
        self._cut: deque[Item] = deque()

    @property
    def waiting(self) -> bool:
        """Whether an item waits for its last words."""
        return bool(self._cut)

    async def opened(self) -> Item:
        """The open item; a new one is announced."""
        if self._open is None:
            self._open = item = Item(self.cut_at, self.last)
            await self._send("conversation.item.added", previous_item_id=item.before, item=_shown(item))
        return self._open

    async def commit(self, at: float) -> None:
        """The audio before these seconds is an item."""
        item = await self.opened()
        self._cut.append(item)
        await self._commit(item, at)

    def clear(self, at: float) -> None:
        """The audio of the open item, before these seconds, is dropped."""
        item = self._open or Item(self.cut_at, self.last)
        item.dropped = True
        self._cut.append(item)
        self._close(item, at)

    async def tell(self, events: Iterable[Event], choices: Choices) -> None:
        """What the model's words are for the items."""
        delta = Delta()
        for event in events:
            match event:
                case Said():
                    delta.text += event.text
                    delta.tokens.append(event.token)
                case Spoken():
                    delta.words.append(event.word)
                case Started() | Stopped() | Passed():
                    await self._tell_delta(delta, choices)
                    delta = Delta()
                    await self._tell_turn(event, choices)
        await self._tell_delta(delta, choices)

    async def tell_draft(self, draft: str) -> None:
        """The whole draft of the words that come next."""
        if draft or self._cut or self._open:
            await self._redraft(await self._current(), draft)

    async def fail(self, error: Json) -> None:
        """No item will have its words."""
        for item in [*self._cut, *filter(None, [self._open])]:
            if not item.dropped:
                await self._send_of(item, "failed", error=error)

    async def _current(self) -> Item:
        """The one that the model's words belong to."""
        return self._cut[0] if self._cut else await self.opened()

    def _close(self, item: Item, at: float) -> None:
        self._open, self.cut_at, item.end = None, at, at

    async def _commit(self, item: Item, at: float) -> None:
        self._close(item, at)
        self.last = item.id
        await self._send("input_audio_buffer.committed", item_id=item.id, previous_item_id=item.before)

    async def _tell_turn(self, event: Started | Stopped | Passed, choices: Choices) -> None:
        match event:
            case Started():
                if choices.turns is not None and not self._cut:
                    item = await self.opened()
                    start = max(item.start, event.at - choices.turns.prefix_padding_ms / 1000)
                    await self._send(
                        "input_audio_buffer.speech_started",
                        audio_start_ms=round(start * 1000),
                        item_id=item.id,
                    )
            case Stopped():
                item = await self.opened()
                end = math.ceil(event.until * 1000)
                await self._send("input_audio_buffer.speech_stopped", audio_end_ms=end, item_id=item.id)
                await self._commit(item, event.until)
                await self._complete(item, choices)
            case Passed():
                await self._complete(self._cut.popleft(), choices)

    async def _tell_delta(self, delta: Delta, choices: Choices) -> None:
        if delta == Delta():
            return
        item = await self._current()
        text = item.add(delta)
        if (text or delta.words) and not item.dropped:
            await self._send_of(
                item, "delta", delta=text, words=timed(delta.words), **self._logprobs(delta.tokens, choices)
            )

    async def _complete(self, item: Item, choices: Choices) -> None:
        if item.dropped:
            return
        await self._redraft(item, "")
        await self._send_of(
            item,
            "completed",
            transcript=item.text.strip(),
            words=timed(item.words),
            usage=self._usage(item),
            **self._logprobs(item.tokens, choices),
        )

    async def _redraft(self, item: Item, draft: str) -> None:
        before, item.draft = item.draft, draft
        if draft != before and not item.dropped:
            await self._send_of(item, "draft", text=draft)

    async def _send_of(self, item: Item, kind: str, **fields: Any) -> None:
        await self._send(f"{TRANSCRIPTION}.{kind}", item_id=item.id, content_index=0, **fields)

    def _usage(self, item: Item) -> Json:
        """Positions of audio, and text tokens."""
        positions = round((item.end - item.start) * self._transcriber.model.config.audio.frame_rate)
        return {
            "type": "tokens",
            "input_tokens": positions,
            "input_token_details": {"audio_tokens": positions, "text_tokens": 0},
            "output_tokens": len(item.tokens),
            "total_tokens": positions + len(item.tokens),
        }

    def _logprobs(self, tokens: list[Token], choices: Choices) -> Json:
        if not choices.logprobs:
            return {}
        return {"logprobs": [self._logprob(token) for token in tokens]}

    def _logprob(self, token: Token) -> Json:
        data = self._transcriber.tokenizer.text_bytes(token.id)
        logprob = math.log(max(token.alternatives[0].probability, 1e-30))
        return {"token": data.decode(errors="replace"), "bytes": list(data), "logprob": logprob}


def _shown(item: Item) -> Json:
    return {
        "id": item.id,
        "object": "realtime.item",
        "type": "message",
        "status": "in_progress",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": None}],
    }
