"""Mistral's own protocol: audio in six encodings, a text that is complete at each flush and at the end.

See `mistralai.extra.realtime` and `mistralai.client.models`, which has all events; what a client may choose
is in `mistral_session.py`.
"""

from collections.abc import Iterable
from math import ceil
from typing import Any

from voxrun.arrays import FloatArray
from voxrun.messages import shown
from voxrun.serve.encodings import AudioDecoder
from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.live import LiveSession
from voxrun.serve.speech import Part, Speech
from voxrun.stream.results import Result
from voxrun.stream.turns import Started, Stopped
from voxrun.transcripts.typesetting.segments import Segment, Segmenter

from .mistral_session import Choices
from .protocol import Protocol, Timer, Utterance, new_id, timed, usage

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
NORMAL, TRY_AGAIN_LATER = 1000, 1013
"""Codes of a WebSocket's end."""
ENDED = "ended"


class Mistral(Protocol):
    """A stream lasts until `end`, after which the socket is closed."""

    name = "mistral"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._id, self._choices = new_id("req_"), Choices()
        self._decoder: AudioDecoder | None = None  # from the first audio on
        self._speech: Speech | None = None
        self._flush, self._ended = Timer(), False
        self._begin_utterance(0.0)

    async def greet(self) -> None:
        """The session as it is until an update."""
        async with self.service.shelf.lent() as transcriber:
            delay = self.service.settings.delay_ms or transcriber.tokenizer.default_delay_ms
        self._default_delay = int(delay)
        await self._tell_session("session.created")

    async def take(self, event: dict[str, Any]) -> None:
        """One event of the client. Raises RefusedError."""
        if self._ended:
            raise RefusedError(Kind.WRONG_ORDER, "The audio has ended; connect again.")
        if self._flush.stop() and event["type"] != "input_audio.end":
            self._flush_now()
        match event["type"]:
            case "session.update":
                await self._update(event.get("session"))
            case "input_audio.append":
                await self._append(event.get("audio"))
            case "input_audio.flush" if self.live is None:
                await self.reached(0.0)
            case "input_audio.flush":
                await self._hear_rest()
                self._flush.start(SOON, self._flush_now)
            case "input_audio.end":
                await self._end()
            case other:
                raise RefusedError(Kind.UNKNOWN_EVENT, f"Unknown event type: {shown(other)}")

    async def _update(self, session: Any) -> None:
        if self._decoder is not None:
            raise RefusedError(
                Kind.WRONG_ORDER, "Session fields cannot be changed after audio has started.", "session"
            )
        new = self._choices.updated(session)
        if new.options != self._choices.options:
            await self.check(**new.options)
        self._choices = new
        await self._tell_session("session.updated")

    async def _append(self, audio: Any) -> None:
        decoder = self._decoder or await self._new_decoder()
        samples = decoder.feed(audio)
        live = self.live or await self.open(**self._choices.options)
        self._decoder = decoder
        self._speech = self._speech or Speech(live, self._choices.pause)
        await self._hear(live, samples)

    async def _hear(self, live: LiveSession, samples: FloatArray) -> None:
        if self._speech is not None:
            self._speech.hear(samples)
        await live.hear(samples)

    async def _hear_rest(self) -> None:
        """Hear what the change of rate has held back; another stretch of audio may follow."""
        if self._decoder is not None and self.live is not None:
            await self._hear(self.live, self._decoder.finish())
            self._decoder = await self._new_decoder()

    async def _new_decoder(self) -> AudioDecoder:
        return await self.decoder(self._choices.encoding, self._choices.rate, MOST_BYTES)

    def _flush_now(self) -> None:
        if self.live is not None and self._speech is not None:  # it may have failed by now
            self.live.flush(self._speech.seconds)

    async def _end(self) -> None:
        if self.live is None:
            self._ended = True
            await self.reached(ENDED)
        else:
            await self.end_audio()

    async def end_audio(self) -> None:
        """End the stream."""
        self._flush.stop()
        if not self._ended:
            self._ended = True
            await self._hear_rest()
            self.finish(ENDED)

    async def heard(self, result: Result) -> None:
        """Deltas, turns, a draft, and the segments that are final."""
        self._utterance.add(result)
        if self._speech is not None:
            await self._tell(self._speech.feed(result))
        if self._utterance.redrafted(result):
            await self.socket.send("transcription.text.draft", text=result.draft)
        await self._tell_segments(self._segmenter.feed(result))

    async def reached(self, tag: Any) -> None:
        """The text is complete: up to a flush, of which the tag is the seconds of audio, or to the end."""
        seconds = 0.0
        if self._speech is not None:
            seconds = self._speech.seconds if tag == ENDED else tag
            await self._tell(self._speech.flushed(seconds))
        await self._tell_segments(self._segmenter.finish())
        n_prompt = self.live.n_prompt if self.live is not None else 0
        await self.socket.send(
            "transcription.done",
            model=self._model,
            text=self._utterance.text,
            language=None,  # the model does not tell it
            segments=[{"type": "transcription_segment", **segment} for segment in self._segments],
            words=self._utterance.words,
            usage={
                **usage(n_prompt, self._utterance.n_tokens),
                "prompt_audio_seconds": ceil(seconds - self._since),  # whole, as the SDK insists
            },
        )
        self._begin_utterance(seconds)
        if tag == ENDED and not self.ending:
            await self._hang_up(NORMAL)

    async def refuse(self, refusal: RefusedError) -> None:
        """An error, after which the socket stays open, unless there is no place for the client."""
        code = CODES.get(refusal.kind, 400)
        await self.socket.send("error", error={"message": str(refusal), "code": code})
        if refusal.kind in (Kind.OVERLOADED, Kind.ENDING):
            await self._hang_up(TRY_AGAIN_LATER)

    async def close(self) -> None:
        """End the session, if there is one."""
        self._flush.stop()
        await super().close()
        self._speech = None
        self._begin_utterance(0.0)

    async def _hang_up(self, code: int) -> None:
        await self.socket.drain()
        await self.socket.close(code)

    @property
    def _model(self) -> str:
        return self.socket.query.get("model") or self.service.settings.name

    def _begin_utterance(self, since: float) -> None:
        self._utterance, self._segmenter, self._since = Utterance(), Segmenter(), since
        self._segments: list[dict[str, Any]] = []  # that have been told

    async def _tell(self, parts: Iterable[Part]) -> None:
        for part in parts:
            match part:
                case Started():
                    await self.socket.send("turn.start", time_s=round(part.at, 3))
                case Stopped():
                    await self.socket.send("turn.end", time_s=round(part.at, 3), end_reason="threshold")
                case _ if part.text or part.words:
                    words = timed(part.words)
                    await self.socket.send("transcription.text.delta", text=part.text, words=words)

    async def _tell_segments(self, segments: list[Segment]) -> None:
        for segment in segments:
            told = {"text": segment.text, "start": round(segment.start, 3), "end": round(segment.end, 3)}
            self._segments.append(told)
            await self.socket.send("transcription.segment", **told)

    async def _tell_session(self, type: str) -> None:
        delay = {"target_streaming_delay_ms": self._default_delay}
        session = {"request_id": self._id, "model": self._model, **delay, **self._choices.shown()}
        await self.socket.send(type, session=session)
