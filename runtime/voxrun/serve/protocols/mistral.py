"""Mistral's own protocol: audio in six encodings, a text that is complete at each flush and at the end.

See `mistralai.extra.realtime` and `mistralai.client.models`, the models of all events.
"""

import asyncio
from math import ceil
from typing import Any

from voxrun.messages import shown
from voxrun.serve.encodings import AudioDecoder
from voxrun.serve.errors import Kind, RefusedError
from voxrun.stream.results import Result
from voxrun.transcripts.typesetting.segments import Segment, Segmenter

from .protocol import OPTIONS, Protocol, Utterance, new_id, options, timed, usage, wrong

MOST_BYTES = 2**18
"""Of audio in one message."""
SOON = 0.05
"""Seconds until a flush is carried out. If `end` follows at once, as from the SDK, the flush is left out: the
text is then exactly that of a recording, without the silence that a flush inserts."""
CODES = {
    Kind.UNAUTHORIZED: 401,
    Kind.FORBIDDEN: 403,
    Kind.IDLE: 408,
    Kind.WRONG_ORDER: 409,
    Kind.TOO_LARGE: 413,
    Kind.OVERLOADED: 429,
    Kind.FAILED: 500,
    Kind.ENDING: 503,
}
"""As the statuses of HTTP, which clients take them for; 400 for all others."""
FLUSHED, ENDED = "flushed", "ended"


class Mistral(Protocol):
    """A stream lasts until `end`, after which the socket is closed."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._id = new_id("req_")
        self._format: dict[str, Any] = {"encoding": "pcm_s16le", "sample_rate": 16000}
        self._asked: dict[str, Any] = {}  # of OPTIONS
        self._decoder: AudioDecoder | None = None  # from the first audio on
        self._flush: asyncio.TimerHandle | None = None  # that is to come soon
        self._ended = False
        self._begin_utterance()
        self._n_told, self._seconds_told = 0, 0.0  # tokens, and audio, of earlier utterances

    async def greet(self) -> None:
        """The session as it is until an update."""
        async with self.service.shelf.lent() as transcriber:
            self._default_delay = int(transcriber.tokenizer.default_delay_ms)
        await self._tell_session("session.created")

    async def take(self, event: dict[str, Any]) -> None:
        """One event of the client. Raises RefusedError."""
        if self._ended:
            raise RefusedError(Kind.WRONG_ORDER, "The audio has ended; connect again.")
        flush = self._take_flush()
        if flush and event["type"] != "input_audio.end":
            self._flush_now()
        match event["type"]:
            case "session.update":
                await self._update(event.get("session"))
            case "input_audio.append":
                await self._append(event.get("audio"))
            case "input_audio.flush" if self.live is None:
                await self.reached(FLUSHED)
            case "input_audio.flush":
                await self._hear_rest()
                self._flush = asyncio.get_running_loop().call_later(SOON, self._flush_now)
            case "input_audio.end":
                await self._end()
            case other:
                raise RefusedError(Kind.UNKNOWN_EVENT, f"Unknown event type: {shown(other)}")

    async def _update(self, session: Any) -> None:
        if self._decoder is not None:
            raise RefusedError(
                Kind.WRONG_ORDER, "Session fields cannot be changed after audio has started.", "session"
            )
        if not isinstance(session, dict):
            raise wrong("session.update needs a session", "session")
        form = session.get("audio_format") or self._format
        if not isinstance(form, dict):
            raise wrong(f"audio_format must have encoding and sample_rate, not {shown(form)}", "audio_format")
        await self._new_decoder(form)
        asked = {**self._asked, **{name: session[name] for name in OPTIONS if name in session}}
        if asked != self._asked:
            await self.check(**options(asked))
        self._asked, self._format = asked, {name: form[name] for name in self._format}
        await self._tell_session("session.updated")

    async def _append(self, audio: Any) -> None:
        decoder = self._decoder or await self._new_decoder(self._format)
        samples = decoder.feed(audio)
        live = self.live or await self.open(**options(self._asked))
        self._decoder = decoder
        await live.hear(samples)

    async def _hear_rest(self) -> None:
        """Hear what the change of rate has held back; another stretch of audio may follow."""
        if self._decoder is not None and self.live is not None:
            await self.live.hear(self._decoder.finish())
            self._decoder = await self._new_decoder(self._format)

    async def _end(self) -> None:
        await self._hear_rest()
        self._ended = True
        if self.live is None:
            await self.reached(ENDED)
        else:
            self.finish(ENDED)

    async def heard(self, result: Result) -> None:
        """A delta, and the segments that are final."""
        self._utterance.add(result)
        if result.text or result.words:
            await self.socket.send("transcription.text.delta", text=result.text, words=timed(result.words))
        await self._tell_segments(self._segmenter.feed(result))

    async def reached(self, tag: Any) -> None:
        """The text is complete: the utterance up to a flush, or the last one."""
        await self._tell_segments(self._segmenter.finish())
        await self.socket.send(
            "transcription.done",
            model=self._model,
            text=self._utterance.text,
            language=None,  # the model does not tell it
            segments=[{"type": "transcription_segment", **segment} for segment in self._segments],
            words=self._utterance.words,
            usage=self._usage(),
        )
        self._begin_utterance()
        if tag == ENDED:
            await self.socket.drain()
            await self.socket.close()

    async def refuse(self, refusal: RefusedError) -> None:
        """An error, after which the socket stays open."""
        code = CODES.get(refusal.kind, 400)
        await self.socket.send("error", error={"message": str(refusal), "code": code})

    async def close(self) -> None:
        """End the session, if there is one."""
        self._take_flush()
        self._begin_utterance()
        self._n_told, self._seconds_told = 0, 0.0
        await super().close()

    @property
    def _model(self) -> str:
        return self.socket.query.get("model") or self.service.settings.name

    async def _new_decoder(self, form: dict[str, Any]) -> AudioDecoder:
        return await self.decoder(form.get("encoding"), form.get("sample_rate"), MOST_BYTES)

    def _take_flush(self) -> bool:
        """Whether a flush was to come; now it is not."""
        flush, self._flush = self._flush, None
        if flush is not None:
            flush.cancel()
        return flush is not None

    def _flush_now(self) -> None:
        self._flush = None
        if self.live is not None:  # it may have failed by now
            self.live.flush(FLUSHED)

    def _begin_utterance(self) -> None:
        self._utterance, self._segmenter = Utterance(), Segmenter()
        self._segments: list[dict[str, Any]] = []  # that have been told

    async def _tell_segments(self, segments: list[Segment]) -> None:
        for segment in segments:
            told = {"text": segment.text, "start": round(segment.start, 3), "end": round(segment.end, 3)}
            self._segments.append(told)
            await self.socket.send("transcription.segment", **told)

    async def _tell_session(self, type: str) -> None:
        session = {
            "request_id": self._id,
            "model": self._model,
            "audio_format": self._format,
            "target_streaming_delay_ms": self._default_delay,
            **{name: value for name, value in self._asked.items() if value is not None},
        }
        await self.socket.send(type, session=session)

    def _usage(self) -> dict[str, int]:
        """Of this utterance alone. Seconds are whole, as the SDK insists."""
        n_prompt = n_tokens = n_seconds = 0
        if self.live is not None:
            n_prompt, n_tokens = self.live.n_prompt, self.live.n_tokens - self._n_told
            n_seconds = ceil(self.live.seconds - self._seconds_told)
            self._n_told, self._seconds_told = self.live.n_tokens, self.live.seconds
        return {**usage(n_prompt, n_tokens), "prompt_audio_seconds": n_seconds}
