"""A conversation with a server over a WebSocket, in a test."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import soundfile
from committed import CLIPS
from patience import PATIENCE
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

CLIP = CLIPS / "prompts" / "vm-tempgreeting.flac"
OTHER = CLIPS / "prompts" / "you-entered.flac"


def heard(clip: Any = CLIP) -> np.ndarray:
    """The samples of a clip, which has the model's rate."""
    samples, _ = soundfile.read(clip, dtype="int16")
    return samples


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Talk:
    """Events in both directions."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def say(self, type: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": type, **fields}))

    def say_audio(self, type: str, samples: np.ndarray, piece: int = 1600) -> None:
        for start in range(0, len(samples), piece):
            self.say(type, audio=in_base64(samples[start : start + piece].tobytes()))

    def hear(self) -> dict[str, Any]:
        return json.loads(self.socket.recv(timeout=PATIENCE))

    def hear_the_end(self) -> None:
        """The server closes the connection, and says nothing more."""
        with pytest.raises(ConnectionClosedOK):
            self.hear()

    def hear_until(self, type: str) -> list[dict[str, Any]]:
        """All events up to one of this type, which is the last."""
        events = [self.hear()]
        while events[-1]["type"] not in (type, "error"):
            events.append(self.hear())
        assert events[-1]["type"] == type, events[-1]
        return events


@contextmanager
def talking(url: str) -> Iterator[Talk]:
    """A conversation, after the server's first event."""
    with connect(url) as socket:
        talk = Talk(socket)
        assert talk.hear()["type"] == "session.created"
        yield talk


def worded(words: Any) -> list[tuple[str, float, float]]:
    """Words of the model as protocols tell them."""
    return [(word.text.strip(), round(word.start, 3), round(word.end, 3)) for word in words]


def told(events: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """The words of events."""
    words = [word for event in events for word in event.get("words", [])]
    return [(word["word"], word["start"], word["end"]) for word in words]
