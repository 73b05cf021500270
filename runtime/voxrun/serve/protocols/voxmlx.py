"""voxmlx-serve's protocol: audio, then a final commit; the text comes as that of a response.

Audio is base64 of 16-bit samples at 16 kHz. See T0mSIlver/voxmlx, voxmlx/server.py.
"""

from typing import Any

from voxrun.messages import shown
from voxrun.serve.encodings import AudioDecoder
from voxrun.serve.errors import Kind, RefusedError
from voxrun.stream.results import Result

from .protocol import Protocol, Utterance, options, timed

FORMAT = ("pcm_s16le", 16000)
TRANSCRIPT = "response.audio_transcript"


class Voxmlx(Protocol):
    """An utterance lasts from its first audio to a final commit, or a clear; the socket may have many."""

    name = "voxmlx"

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._options: dict[str, Any] = {}  # of the next session
        self._decoder: AudioDecoder | None = None  # from the first audio on
        self._utterance = Utterance()

    async def greet(self) -> None:
        """Nothing but that the server is there."""
        await self.socket.send("session.created")

    async def take(self, event: dict[str, Any]) -> None:
        """One event of the client. Raises RefusedError."""
        match event["type"]:
            case "session.update":
                await self._update(event)
            case "input_audio_buffer.append":
                await self._append(event.get("audio"))
            case "input_audio_buffer.commit":
                if event.get("final") is True:  # no other commit has a meaning
                    await self._end()
            case "input_audio_buffer.clear":
                await self.close()
                await self.socket.send("input_audio_buffer.cleared")
            case other:
                raise RefusedError(Kind.UNKNOWN_EVENT, f"Unknown event type: {shown(other)}")

    async def _update(self, event: dict[str, Any]) -> None:
        new = options(event)
        if new:
            await self.check(**new)
        self._options = new
        await self.socket.send("session.updated")

    async def _append(self, audio: Any) -> None:
        await self.finished()
        if self._decoder is None:
            self._decoder = await self.decoder(*FORMAT)
        samples = await self.decoded(self._decoder, audio)
        if len(samples):
            live = self.live or await self.open(**self._options)
            await live.hear(samples)

    async def _end(self) -> None:
        await self.finished()
        if self.live is None:
            await self.reached(None)
        else:
            await self.end_audio()

    async def end_audio(self) -> None:
        """End the utterance."""
        if self.live is not None and self._decoder is not None:
            live, decoder, self._decoder = self.live, self._decoder, None
            await live.hear(decoder.finish())
        self.finish()

    async def heard(self, result: Result) -> None:
        """A delta, and a draft."""
        self._utterance.add(result)
        if result.text or result.words:
            await self.socket.send(f"{TRANSCRIPT}.delta", delta=result.text, words=timed(result.words))
        if self._utterance.redrafted(result):
            await self.socket.send(f"{TRANSCRIPT}.draft", text=result.draft)

    async def reached(self, tag: Any) -> None:
        """The end of the utterance."""
        said = self._utterance
        await self.socket.send(f"{TRANSCRIPT}.done", text=said.text, words=said.words)
        await self.close()

    async def refuse(self, refusal: RefusedError) -> None:
        """An error, after which the socket stays open."""
        await self.socket.send("error", message=str(refusal), code=refusal.kind)

    async def close(self) -> None:
        """End the utterance, if there is one."""
        await super().close()
        self._utterance, self._decoder = Utterance(), None
