"""What a client says to each server, and where its answers have text. Audio is base64 of 16-bit samples."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]


@dataclass(frozen=True)
class Dialect:
    """A protocol, as far as transcribing one stream needs it."""

    path: str
    begin: Callable[[str, int], list[Event]]
    """What comes before the audio, of a model's name and a rate in Hz."""
    end: Event
    delta: str
    """The type of events with new text, in `delta`."""
    done: str
    """The type of the last event."""
    text: str
    """The field of the last event that holds the whole text."""
    query: Callable[[str], str] = field(default=lambda model: "")


def append(samples: bytes) -> str:
    """A block of audio as a message; the same in all dialects."""
    audio = base64.b64encode(samples).decode("ascii")
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


def _vllm(model: str, rate: int) -> list[Event]:
    return [{"type": "session.update", "model": model}, {"type": "input_audio_buffer.commit"}]


def _openai(model: str, rate: int) -> list[Event]:
    sound = {"format": {"type": "audio/pcm", "rate": rate}, "turn_detection": None}
    return [{"type": "session.update", "session": {"type": "transcription", "audio": {"input": sound}}}]


VLLM = Dialect(
    "/v1/realtime",
    _vllm,
    {"type": "input_audio_buffer.commit", "final": True},
    "transcription.delta",
    "transcription.done",
    "text",
)
OPENAI = Dialect(
    "/v1/realtime",
    _openai,
    {"type": "input_audio_buffer.commit"},
    "conversation.item.input_audio_transcription.delta",
    "conversation.item.input_audio_transcription.completed",
    "transcript",
)
