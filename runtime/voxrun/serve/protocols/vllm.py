"""vLLM's protocol: an update with the model, a commit that starts, audio, a commit that ends.

Audio is base64 of 16-bit samples at the model's rate. See vllm/entrypoints/openai/realtime.
"""

from typing import Any

from voxrun.serve.encodings import decoded
from voxrun.serve.errors import Kind, RefusedError
from voxrun.stream.results import Result

from .protocol import Protocol, timed, wrong

CODES = {
    Kind.INVALID_JSON: "invalid_json",
    Kind.INVALID_AUDIO: "invalid_audio",
    Kind.TOO_LARGE: "invalid_audio",
    Kind.UNKNOWN_EVENT: "unknown_event",
    Kind.WRONG_ORDER: "model_not_validated",
}


class Vllm(Protocol):
    """An utterance lasts from a commit to a final commit; the socket may have many."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._options: dict[str, Any] | None = None  # of the session, once there was an update
        self._text: list[str] = []
        self._ends = False  # the final commit came

    async def take(self, event: dict[str, Any]) -> None:
        """One event of the client. Raises RefusedError."""
        match event["type"]:
            case "session.update":
                self._update(event)
            case "input_audio_buffer.append":
                await self._append(event)
            case "input_audio_buffer.commit":
                await self._commit(bool(event.get("final", False)))
            case other:
                raise RefusedError(Kind.UNKNOWN_EVENT, f"Unknown event type: {other}")

    def _update(self, event: dict[str, Any]) -> None:
        if not isinstance(event.get("model"), str):
            raise wrong("session.update needs a model", "model")
        self._options = {"delay_ms": event.get("target_streaming_delay_ms")}

    async def _append(self, event: dict[str, Any]) -> None:
        samples = decoded(event.get("audio"), "pcm_s16le")
        if self._options is None:
            raise RefusedError(
                Kind.WRONG_ORDER, "Model not validated. Make sure to validate the model first."
            )
        live = self.live or await self.open(**self._options)
        await live.hear(samples)

    async def _commit(self, final: bool) -> None:
        if self._options is None:
            raise RefusedError(
                Kind.WRONG_ORDER, "Model not validated. Make sure to validate the model first."
            )
        live = self.live or await self.open(**self._options)
        if final and not self._ends:
            self._ends = True
            live.finish()

    async def heard(self, result: Result) -> None:
        """A delta."""
        if result.text or result.words:
            self._text.append(result.text)
            await self.socket.send("transcription.delta", delta=result.text, words=timed(result.words))

    async def reached(self, tag: Any) -> None:
        """The end of the utterance."""
        assert self.live is not None
        tokens = self.live.n_tokens
        usage = {"prompt_tokens": 0, "completion_tokens": tokens, "total_tokens": tokens}
        await self.socket.send("transcription.done", text="".join(self._text).strip(), usage=usage)
        self._text, self._ends = [], False
        await self.close()

    async def refuse(self, refusal: RefusedError) -> None:
        """An error, after which the socket stays open."""
        code = CODES.get(refusal.kind, "processing_error")
        await self.socket.send("error", error=str(refusal), code=code)
