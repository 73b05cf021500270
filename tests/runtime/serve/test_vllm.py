"""vLLM's protocol, in the order of events that its documentation has."""

import base64
import json
from typing import Any

import pytest
import soundfile
from committed import CLIPS
from served import Served
from websockets.sync.client import ClientConnection, connect

CLIP = CLIPS / "prompts" / "vm-tempgreeting.flac"


def say(socket: ClientConnection, type: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": type, **fields}))


def hear(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(timeout=20))


@pytest.fixture
def socket(server: Served) -> Any:
    with connect(f"{server.ws}/v1/realtime") as socket:
        assert hear(socket)["type"] == "session.created"
        yield socket


def test_a_clip_has_the_text_and_the_words_that_a_file_has(server: Served, socket: ClientConnection) -> None:
    samples, _ = soundfile.read(CLIP, dtype="int16")
    say(socket, "session.update", model="any")
    for _ in range(2):  # two utterances on one socket
        say(socket, "input_audio_buffer.commit")
        for start in range(0, len(samples), 1600):
            audio = base64.b64encode(samples[start : start + 1600].tobytes()).decode()
            say(socket, "input_audio_buffer.append", audio=audio)
        say(socket, "input_audio_buffer.commit", final=True)
        text, words = "", []
        while (event := hear(socket))["type"] == "transcription.delta":
            text += event["delta"]
            words += event["words"]
        expected = server.transcriber.transcribe(CLIP)
        assert event["type"] == "transcription.done"
        assert event["text"] == text.strip() == expected.text
        assert [(word["word"], word["end"]) for word in words] == [
            (word.text.strip(), round(word.end, 3)) for word in expected.words
        ]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", "invalid_json"),
        ('{"type": "dance"}', "unknown_event"),
        ('{"type": "input_audio_buffer.commit"}', "model_not_validated"),
        ('{"type": "input_audio_buffer.append", "audio": "AA=="}', "invalid_audio"),
        ('{"type": "session.update"}', "processing_error"),
    ],
)
def test_an_error_has_a_code_and_the_socket_stays(socket: ClientConnection, message: str, code: str) -> None:
    for _ in range(2):
        socket.send(message)
        event = hear(socket)
        assert (event["type"], event["code"]) == ("error", code)
