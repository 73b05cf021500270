"""What a client of Mistral's protocol can choose, before its audio."""

from dataclasses import dataclass, field, replace
from typing import Any

from voxrun.messages import shown
from voxrun.serve.encodings import AudioDecoder
from voxrun.stream.turns import Pause

from .protocol import OPTIONS, options, wrong

Json = dict[str, Any]

DEFAULT_SILENCE = 500
"""Milliseconds that end a turn, if the client wants turns and does not say."""
MOST_SILENCE = 60_000


@dataclass(frozen=True)
class Choices:
    """The session, as far as the client has said and the server does it."""

    encoding: str = "pcm_s16le"
    rate: int = 16000
    silence_ms: int | None = None
    """That ends a turn; None: turns are not told."""
    extensions: Json = field(default_factory=dict)
    """Those of `OPTIONS` that the client has set."""

    @property
    def options(self) -> Json:
        """Of the model's session."""
        return options(self.extensions)

    @property
    def pause(self) -> Pause | None:
        """The silence that ends a turn."""
        return None if self.silence_ms is None else Pause(self.silence_ms / 1000, self.silence_ms / 1000)

    def shown(self) -> Json:
        """The fields that have an effect."""
        turns = {} if self.silence_ms is None else {"turn_detection": {"min_silence_ms": self.silence_ms}}
        form = {"encoding": self.encoding, "sample_rate": self.rate}
        return {"audio_format": form, **self.extensions, **turns}

    def updated(self, session: Any) -> "Choices":
        """With what an update says; what it leaves out stays. Raises RefusedError.

        Languages, biases and speakers are for other models: this one is told nothing but audio.
        """
        if not isinstance(session, dict):
            raise wrong("session.update needs a session", "session")
        new = self._in_format(session["audio_format"]) if session.get("audio_format") is not None else self
        asked = {name: session[name] for name in OPTIONS if session.get(name) is not None}
        return replace(new, silence_ms=new._silence(session), extensions=self.extensions | asked)

    def _in_format(self, form: Any) -> "Choices":
        if not isinstance(form, dict):
            raise wrong(f"audio_format must have encoding and sample_rate, not {shown(form)}", "audio_format")
        encoding: Any = form.get("encoding")
        rate: Any = form.get("sample_rate")
        AudioDecoder(encoding, rate, self.rate)  # which refuses an impossible one
        return replace(self, encoding=encoding, rate=rate)

    def _silence(self, session: Json) -> int | None:
        turns = session.get("turn_detection")
        if turns is None:
            return self.silence_ms
        if not isinstance(turns, dict):
            raise wrong(f"turn_detection must be an object, not {shown(turns)}", "turn_detection")
        silence = turns.get("min_silence_ms", DEFAULT_SILENCE)
        if type(silence) is not int or not 0 <= silence <= MOST_SILENCE:
            raise wrong(
                f"min_silence_ms must be 0 to {MOST_SILENCE}, not {shown(silence)}",
                "turn_detection.min_silence_ms",
            )
        return silence
