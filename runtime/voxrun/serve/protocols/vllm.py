"""vLLM's protocol: an update with the model, a commit that starts, audio, a commit that ends.

Audio is base64 of 16-bit samples at 16 kHz. See vllm/entrypoints/openai/realtime, and for segments
vllm-project/vllm#50783.
"""

from time import time
from typing import Any

from voxrun.arrays import FloatArray
from voxrun.messages import shown
from voxrun.serve.encodings import AudioDecoder
from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.live import LiveSession
from voxrun.stream.results import Result, Word

from .protocol import OPTIONS, Protocol, Utterance, new_id, options, timed, usage, wrong

FORMAT = ("pcm_s16le", 16000)
GRANULARITIES = "timestamp_granularities"
CODES = {
    Kind.INVALID_JSON: "invalid_json",
    Kind.INVALID_AUDIO: "invalid_audio",
    Kind.TOO_LARGE: "invalid_audio",
    Kind.UNKNOWN_EVENT: "unknown_event",
    Kind.WRONG_ORDER: "model_not_validated",
    Kind.OVERLOADED: "overloaded",
    Kind.IDLE: "idle",
    Kind.ENDING: "ending",
}
"""Of errors; of all others: processing_error."""


class Vllm(Protocol):
    """An utterance lasts from a commit to a final commit; the socket may have many."""

    name = "vllm"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._asked: dict[str, Any] | None = None  # the last update
        self._early: list[FloatArray] = []  # audio before the commit
        self._tells_segments = False
        self._decoder: AudioDecoder | None = None  # from the first audio on
        self._begin_utterance()

    async def greet(self) -> None:
        """The session."""
        await self.socket.send("session.created", id=new_id("sess-"), created=int(time()))

    async def take(self, event: dict[str, Any]) -> None:
        """One event of the client. Raises RefusedError."""
        match event["type"]:
            case "session.update":
                await self._update(event)
            case "input_audio_buffer.append":
                await self._append(event.get("audio"))
            case "input_audio_buffer.commit":
                await self._commit(event.get("final", False))
            case other:
                raise RefusedError(Kind.UNKNOWN_EVENT, f"Unknown event type: {shown(other)[1:-1]}")

    async def _update(self, event: dict[str, Any]) -> None:
        """Take a model, whatever it is called, and options, which vLLM has not, for the next utterance."""
        if not isinstance(event.get("model"), str):
            raise wrong("session.update needs a model", "model")
        asked = {name: event[name] for name in (*OPTIONS, GRANULARITIES) if event.get(name) is not None}
        granularities = asked.get(GRANULARITIES, [])
        if not isinstance(granularities, list) or not all(
            name in ("segment", "word") for name in granularities
        ):
            raise wrong(f'{GRANULARITIES} may have "segment" and "word"', GRANULARITIES)
        if options(asked):
            await self.check(**options(asked))
        self._asked = asked
        if asked:  # without options, vLLM gives no answer
            await self.socket.send("session.updated", model=event["model"], **asked)

    async def _append(self, audio: Any) -> None:
        await self.finished()
        if self._decoder is None:
            self._decoder = await self.decoder(*FORMAT)
        samples = await self.decoded(self._decoder, audio)
        if not len(samples):
            raise RefusedError(Kind.INVALID_AUDIO, "there is no audio in it", "audio")
        live = self.live
        if live is None and self._decoder.seconds > self.service.settings.limits.waiting_seconds:
            live = await self._begin()  # as if there were a commit: no more audio is kept
        if live is None:
            self._early.append(samples)
        else:
            await live.hear(samples)

    async def _commit(self, final: Any) -> None:
        if not isinstance(final, bool):
            raise wrong(f"final must be true or false, not {shown(final)}", "final")
        await self.finished()
        if not final:
            await self._begin()
        elif self.live is None and not self._early:
            self._check_order()
            await self.reached(None)
        else:
            await self._begin()
            await self.end_audio()

    async def end_audio(self) -> None:
        """End the utterance."""
        if self.live is not None and self._decoder is not None:
            live, decoder, self._decoder = self.live, self._decoder, None
            await live.hear(decoder.finish())
        self.finish()

    def _check_order(self) -> None:
        if self._asked is None:
            message = (
                "Model not validated. Make sure to validate the model by sending a session.update event."
            )
            raise RefusedError(Kind.WRONG_ORDER, message)

    async def _begin(self) -> LiveSession:
        """The session of the utterance; a new one hears what has waited for a commit."""
        self._check_order()
        assert self._asked is not None
        if self.live is not None:
            return self.live
        live = await self.open(**options(self._asked))
        self._tells_segments = "segment" in self._asked.get(GRANULARITIES, ())
        early, self._early = self._early, []
        for samples in early:
            await live.hear(samples)
        return live

    def _begin_utterance(self) -> None:
        self._utterance, self._segments = Utterance(), list[dict[str, Any]]()
        self._decoder = None

    async def heard(self, result: Result) -> None:
        """A delta, and a draft."""
        self._utterance.add(result)
        segments = _segments(result.words)
        self._segments += segments
        if result.text or result.words:
            words, extra = timed(result.words), self._if_asked(segments)
            await self.socket.send("transcription.delta", delta=result.text, words=words, **extra)
        if self._utterance.redrafted(result):
            await self.socket.send("transcription.draft", text=result.draft)

    async def reached(self, tag: Any) -> None:
        """The end of the utterance."""
        said, extra = self._utterance, self._if_asked(self._segments)
        counts = usage(self.live.n_prompt if self.live is not None else 0, said.n_tokens)
        await self.socket.send("transcription.done", text=said.text, usage=counts, words=said.words, **extra)
        await self.close()

    async def refuse(self, refusal: RefusedError) -> None:
        """An error, after which the socket stays open."""
        code = CODES.get(refusal.kind, "processing_error")
        text = f"Invalid audio data: {refusal}" if code == "invalid_audio" else str(refusal)
        await self.socket.send("error", error=text, code=code)

    async def close(self) -> None:
        """End the utterance, if there is one."""
        await super().close()
        self._begin_utterance()

    def _if_asked(self, segments: list[dict[str, Any]]) -> dict[str, Any]:
        return {"segments": segments} if self._tells_segments else {}


def _segments(words: tuple[Word, ...]) -> list[dict[str, Any]]:
    """What the model writes between two marks of a word, and where it ends, in seconds."""
    return [{"text": word.text, "end": round(word.end, 3)} for word in words]
