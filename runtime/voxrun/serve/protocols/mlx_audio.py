"""mlx-audio's protocol: a configuration, binary audio, and a text that is complete after each silence.

Audio is 16-bit samples in binary messages, at the rate that the configuration says. See mlx_audio/server.py.
Mistral's protocol has the same address: a client of this one is known by its first message, and overlooks
what the server says before it.
"""

from collections.abc import Iterable
from typing import Any

from voxrun.errors import VoxrunError
from voxrun.serve.encodings import AudioDecoder
from voxrun.serve.errors import Kind, RefusedError
from voxrun.serve.speech import Part, Speech
from voxrun.stream.results import Result
from voxrun.stream.schedule import KNOWN_DELAYS
from voxrun.stream.turns import Pause, Stopped
from voxrun.values import number

from .protocol import Protocol, Timer, Utterance, options, timed, wrong

SILENCE = Pause(0.5, 0.5)
"""After which a text is complete; mlx-audio's own."""
QUIET = 1.0
"""Seconds without audio, beside those of the last message, until the words behind the delay are told."""
AUDIO, CONFIGURATION, STOP = "audio", "configuration", "stop"
"""Names for messages, which have none."""


def begins(fields: dict[str, Any]) -> bool:
    """Whether a client whose first message has these fields speaks mlx-audio's protocol."""
    return "type" not in fields and ("model" in fields or "sample_rate" in fields)


class MlxAudio(Protocol):
    """A stream lasts until `stop`, after which the socket is closed."""

    name, binary = "mlx-audio", AUDIO

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._options: dict[str, Any] = {}
        self._decoder: AudioDecoder | None = None  # once there is a configuration
        self._speech: Speech | None = None  # from the first audio on
        self._utterance, self._flush = Utterance(), Timer()

    async def greet(self) -> None:
        """Nothing: the client speaks first."""

    def event(self, fields: dict[str, Any]) -> dict[str, Any]:
        """A message, by a name."""
        return {**fields, "type": STOP if fields.get("action") == "stop" else CONFIGURATION}

    async def take(self, event: dict[str, Any]) -> None:
        """One message of the client. Raises RefusedError."""
        match event["type"]:
            case "audio":
                await self._append(event["audio"])
            case "configuration":
                await self._configure(event)
            case "stop":
                await self._stop()

    async def _configure(self, fields: dict[str, Any]) -> None:
        if self.live is not None:
            raise RefusedError(Kind.WRONG_ORDER, "the configuration cannot be changed after the first audio")
        decoder = await self.decoder("pcm_s16le", fields.get("sample_rate", 16000))
        new = options(fields)
        if (wanted := fields.get("transcription_delay_ms")) is not None:
            new["delay_ms"] = await self._nearest_delay(wanted)
        if new:
            await self.check(**new)
        self._decoder, self._options = decoder, new
        await self.socket.send("ready", status="ready", message="Ready to transcribe")

    async def _nearest_delay(self, wanted: Any) -> float:
        """The delay of the model that is nearest: localvoxtral offers any from 400 to 2000 ms."""
        try:
            wanted_ms = number("transcription_delay_ms", wanted)
        except VoxrunError as error:
            raise wrong(str(error), "transcription_delay_ms") from error
        async with self.service.shelf.lent() as transcriber:
            position: float = 1000 / transcriber.model.config.audio.frame_rate
        delays: list[float] = [n * position for n in KNOWN_DELAYS]
        return min(delays, key=lambda delay: abs(delay - wanted_ms))

    async def _append(self, audio: bytes) -> None:
        if self._decoder is None:
            raise RefusedError(
                Kind.WRONG_ORDER, "the first message is a configuration: model and sample_rate"
            )
        self._flush.stop()
        samples = await self.decoded(self._decoder, audio)
        live = self.live or await self.open(**self._options)
        self._speech = self._speech or Speech(live, SILENCE)
        self._speech.hear(samples)
        await live.hear(samples)
        self._flush.start(QUIET + len(samples) / live.transcriber.rate, self._flush_now)

    def _flush_now(self) -> None:
        if self.live is not None and self._speech is not None:
            self.live.flush(self._speech.seconds)

    async def _stop(self) -> None:
        if self.live is None:
            await self._hang_up()
        else:
            await self.end_audio()

    async def end_audio(self) -> None:
        """End the stream."""
        self._flush.stop()
        if self.live is not None and self._decoder is not None:
            live, decoder, self._decoder = self.live, self._decoder, None
            await live.hear(decoder.finish())
        self.finish(STOP)

    async def heard(self, result: Result) -> None:
        """Deltas, complete texts, and a draft."""
        if self._speech is not None:
            await self._tell(self._speech.feed(result))
        if self._utterance.redrafted(result):
            await self.socket.send("draft", text=result.draft)

    async def reached(self, tag: Any) -> None:
        """All is told up to a flush, of which the tag is the seconds of audio, or to the end."""
        if self._speech is not None:
            await self._tell(self._speech.flushed(self._speech.seconds if tag == STOP else tag))
        if tag == STOP and not self.ending:
            await self._hang_up()

    async def _hang_up(self) -> None:
        await self.socket.drain()
        await self.socket.close()

    async def _tell(self, parts: Iterable[Part]) -> None:
        for part in parts:
            match part:
                case Result():
                    self._utterance.add(part)
                    if part.text or part.words:
                        await self.socket.send("delta", delta=part.text, words=timed(part.words))
                case Stopped():
                    await self._complete()

    async def _complete(self) -> None:
        said, self._utterance = self._utterance, Utterance(draft=self._utterance.draft)
        await self.socket.send(
            "complete",
            text=said.text,
            segments=None,
            words=said.words,
            language=None,  # the model does not tell it
            is_partial=False,
        )

    async def refuse(self, refusal: RefusedError) -> None:
        """An error, after which the socket stays open."""
        await self.socket.send("error", error=str(refusal), status="error", code=refusal.kind)

    async def close(self) -> None:
        """End the session, if there is one."""
        self._flush.stop()
        await super().close()
        self._speech, self._utterance = None, Utterance()
