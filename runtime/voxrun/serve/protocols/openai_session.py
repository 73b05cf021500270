"""What a client of OpenAI's transcription sessions can choose, in the present form or that of the beta."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar

from voxrun.messages import shown
from voxrun.stream.turns import Pause

from .protocol import OPTIONS, options, wrong

Json = dict[str, Any]

FORMATS = {
    "audio/pcm": ("pcm_s16le", 24000),
    "audio/pcmu": ("pcm_mulaw", 8000),
    "audio/pcma": ("pcm_alaw", 8000),
}
"""Type -> encoding, and samples a second."""
BETA_FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
DELAYS = {"minimal": 160, "low": 240, "medium": 480, "high": 960, "xhigh": 2400}
"""Milliseconds."""
EAGERNESS = {
    "low": Pause(2.0, 1.0),
    "medium": Pause(1.0, 0.5),
    "auto": Pause(1.0, 0.5),
    "high": Pause(0.5, 0.32),
}
"""Of semantic_vad."""
LOGPROBS = "item.input_audio_transcription.logprobs"
CLIENT_CUTS = ("gpt-realtime-whisper", "gpt-live-transcribe")
"""Models that detect no turns: clients that ask for one of them commit, and do not turn detection off."""
MOST_MS = 60_000
"""Of silence, and of padding."""


@dataclass(frozen=True)
class ServerVad:
    """A turn ends after silence."""

    type: ClassVar = "server_vad"
    prefix_padding_ms: int
    silence_duration_ms: int

    @property
    def pause(self) -> Pause:
        """The silence."""
        return Pause(self.silence_duration_ms / 1000, self.silence_duration_ms / 1000)


@dataclass(frozen=True)
class SemanticVad:
    """A turn ends after silence, sooner after the end of a sentence."""

    type: ClassVar = "semantic_vad"
    eagerness: str

    prefix_padding_ms: ClassVar = 0

    @property
    def pause(self) -> Pause:
        """The silence."""
        return EAGERNESS[self.eagerness]


@dataclass(frozen=True)
class Choices:
    """The session, as far as the client has said and the server does it."""

    model: str
    format: str = "audio/pcm"
    rate: int = 24000
    delay: str | None = None
    turns: ServerVad | SemanticVad | None = ServerVad(300, 500)
    logprobs: bool = False
    extensions: Json = field(default_factory=dict)
    """Those of `OPTIONS` that the client has set."""

    @property
    def encoding(self) -> str:
        """Of the audio."""
        return FORMATS[self.format][0]

    @property
    def pause(self) -> Pause | None:
        """The silence that ends a turn; None: the client commits."""
        return None if self.turns is None else self.turns.pause

    @property
    def options(self) -> Json:
        """Of the model's session."""
        delay = {"delay_ms": DELAYS[self.delay]} if self.delay else {}
        logprobs = {"alternatives": 1} if self.logprobs else {}
        return delay | options(self.extensions) | logprobs

    def shown(self) -> Json:
        """The fields that have an effect; what the server does not do is null, whatever was asked for."""
        format: Json = {"type": self.format}
        if self.format == "audio/pcm":
            format["rate"] = self.rate
        return {
            "audio": {
                "input": {
                    "format": format,
                    "noise_reduction": None,
                    "transcription": {
                        "model": self.model,
                        "language": None,
                        "prompt": None,
                        "delay": self.delay,
                    },
                    "turn_detection": self.turns and {"type": self.turns.type, **asdict(self.turns)},
                }
            },
            "include": [LOGPROBS] if self.logprobs else None,
            **self.extensions,
        }

    def shown_to_beta(self) -> Json:
        """The same in the form of the beta."""
        now = self.shown()
        heard = now.pop("audio")["input"]
        return now | {
            "input_audio_format": next(beta for beta, type in BETA_FORMATS.items() if type == self.format),
            "input_audio_noise_reduction": None,
            "input_audio_transcription": heard["transcription"],
            "turn_detection": heard["turn_detection"],
        }

    def updated(self, session: Any) -> "Choices":
        """With what an update says; what it leaves out stays. Raises RefusedError."""
        session = _object(session, "session")
        if session.get("type", "transcription") != "transcription":
            raise wrong(
                "this server only transcribes: the session's type must be transcription", "session.type"
            )
        return self._heard(_input(session))._included(session)._extended(session)

    def _heard(self, heard: Json) -> "Choices":
        """With the fields of `audio.input`."""
        new = self
        path = "session.audio.input"
        new = new._formatted(_member(heard, path, "format"))
        new = new._transcribed(_member(heard, path, "transcription"))
        if "turn_detection" in heard:
            new = replace(new, turns=_turns(heard["turn_detection"]))
        elif new.model != self.model and new.model.startswith(CLIENT_CUTS):
            new = replace(new, turns=None)
        return new

    def _formatted(self, format: Json) -> "Choices":
        if not format:
            return self
        type = _one_of(format.get("type", "audio/pcm"), FORMATS, "session.audio.input.format.type")
        rate = format.get("rate") if type == "audio/pcm" else None
        return replace(self, format=type, rate=FORMATS[type][1] if rate is None else rate)

    def _transcribed(self, transcription: Json) -> "Choices":
        model, delay = transcription.get("model"), transcription.get("delay", self.delay)
        if model is not None and not isinstance(model, str):
            raise wrong("the model must be a string", "session.audio.input.transcription.model")
        if delay is not None:
            delay = _one_of(delay, DELAYS, "session.audio.input.transcription.delay")
        return replace(self, model=model or self.model, delay=delay)

    def _included(self, session: Json) -> "Choices":
        if "include" not in session:
            return self
        include = session["include"] or []
        if not isinstance(include, list) or not set(map(str, include)) <= {LOGPROBS}:
            raise wrong(f"include may have {LOGPROBS}", "session.include")
        return replace(self, logprobs=bool(include))

    def _extended(self, session: Json) -> "Choices":
        given = {name: session[name] for name in OPTIONS if name in session}
        new = replace(self, extensions=self.extensions | given)
        if new.logprobs and new.options.get("temperature"):
            raise wrong("logprobs are told only at temperature 0", "session.include")
        return new


def _input(session: Json) -> Json:
    """`audio.input`, from the form of the beta too."""
    beta = {
        key.removeprefix("input_audio_"): session[key]
        for key in (
            "input_audio_format",
            "input_audio_transcription",
            "turn_detection",
        )
        if key in session
    }
    if (format := beta.get("format")) is not None:
        beta["format"] = {"type": BETA_FORMATS[_one_of(format, BETA_FORMATS, "session.input_audio_format")]}
    return beta | _member(_member(session, "session", "audio"), "session.audio", "input")


def _turns(turns: Any) -> ServerVad | SemanticVad | None:
    if turns is None:
        return None
    path = "session.audio.input.turn_detection"
    turns = _object(turns, path)
    if (
        _one_of(turns.get("type", "server_vad"), ("server_vad", "semantic_vad"), f"{path}.type")
        == "server_vad"
    ):
        return ServerVad(
            prefix_padding_ms=_milliseconds(turns, "prefix_padding_ms", 300),
            silence_duration_ms=_milliseconds(turns, "silence_duration_ms", 500),
        )
    return SemanticVad(eagerness=_one_of(turns.get("eagerness") or "auto", EAGERNESS, f"{path}.eagerness"))


def _object(value: Any, path: str) -> Json:
    if not isinstance(value, dict):
        raise wrong(f"{path} must be an object, not {shown(value)}", path)
    return value


def _member(parent: Json, path: str, name: str) -> Json:
    """An object in another; without it, an empty one."""
    value = parent.get(name)
    return {} if value is None else _object(value, f"{path}.{name}")


def _one_of(value: Any, names: Mapping[str, Any] | tuple[str, ...], path: str) -> str:
    if not isinstance(value, str) or value not in names:
        raise wrong(f"{path} must be one of {', '.join(names)}, not {shown(value)}", path)
    return value


def _milliseconds(turns: Json, name: str, default: int) -> int:
    value = turns.get(name)
    if value is None:
        return default
    if type(value) not in (int, float) or not 0 <= value <= MOST_MS:
        path = f"session.audio.input.turn_detection.{name}"
        raise wrong(f"{path} must be 0 to {MOST_MS}, not {shown(value)}", path)
    return int(value)
