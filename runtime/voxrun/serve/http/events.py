"""A transcription as server-sent events, while the model writes."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.protocols.protocol import timed
from voxrun.stream.results import Result

from . import errors
from .answers import Json, VerboseJson, logprobs
from .fields import Wish
from .hearing import Hearing

Event = dict[str, Any]
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}


async def events(
    wish: Wish, hearing: Hearing, answer: Json, refused: Callable[[Kind], None]
) -> AsyncGenerator[Event, None]:
    """OpenAI's events: deltas with their words, segments for verbose_json, and the whole at the end.

    `refused` counts a refusal, which is an event here.
    """
    writer = EventWriter(wish, hearing, answer)
    try:
        async with aclosing(hearing.results()) as results:
            async for result in results:
                answer.add(result)
                for event in writer.after(result):
                    yield event
    except RefusedError as refusal:
        refused(refusal.kind)
        yield {"type": "error", **errors.body(refusal)}
    else:
        for event in writer.end():
            yield event


class EventWriter:
    """Knows what the client has been told."""

    def __init__(self, wish: Wish, hearing: Hearing, answer: Json) -> None:
        self._wish, self._hearing, self._answer = wish, hearing, answer
        self._begun = False
        self._words = list[Event]()
        self._n_segments = 0

    def after(self, result: Result) -> list[Event]:
        """The events of a result."""
        new = self._delta(result) if result.text or result.words else []
        return new + self._segments()

    def end(self) -> list[Event]:
        """The last events: what the response would hold, and all words."""
        whole, n = self._answer.end(), self._hearing.n_tokens
        usage = {"type": "tokens", "input_tokens": n, "output_tokens": n, "total_tokens": 2 * n}
        done: Event = {"type": "transcript.text.done", "duration": round(self._hearing.seconds, 3)}
        done |= {"words": self._words, **whole, "usage": usage}  # a position of audio gives a token
        return [*self._segments(), done]

    def _delta(self, result: Result) -> list[Event]:
        text = result.text if self._begun else result.text.lstrip()  # joined, deltas are the text
        self._begun = self._begun or bool(text)
        words = timed(result.words)
        self._words += words
        event: Event = {"type": "transcript.text.delta", "delta": text, "words": words}
        if self._wish.logprobs:
            event["logprobs"] = logprobs(result, self._hearing.transcriber.tokenizer)
        return [event]

    def _segments(self) -> list[Event]:
        if not isinstance(self._answer, VerboseJson):
            return []
        new = self._answer.segments[self._n_segments :]
        self._n_segments += len(new)
        return [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{segment['id']}",
                "start": segment["start"],
                "end": segment["end"],
                "text": segment["text"],
                "speaker": "",  # which OpenAI's type requires, and the model does not tell
            }
            for segment in new
        ]


def sent(event: Event) -> bytes:
    """An event on the wire."""
    return f"data: {json.dumps(event, ensure_ascii=False)}\n\n".encode()
