"""mlx-audio's protocol, with the messages of localvoxtral, a dictation app for it."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from served import Served
from talk import CLIP, OTHER, Talk, heard, talking, told

PATH = "/v1/audio/transcriptions/realtime"
CONFIGURATION = {"model": "voxtral", "sample_rate": 16000, "streaming": True}
SILENCE = np.zeros(25600, np.int16)
"""localvoxtral sends 1.6 s of it after a dictation, and no stop."""


@pytest.fixture
def talk(server: Served) -> Iterator[Talk]:
    with talking(server.ws + PATH) as talk:
        yield talk


def configure(talk: Talk, **fields: Any) -> dict[str, Any]:
    talk.socket.send(json.dumps(CONFIGURATION | fields))
    return talk.hear()


def send(talk: Talk, samples: np.ndarray) -> None:
    for start in range(0, len(samples), 1600):
        talk.socket.send(samples[start : start + 1600].tobytes())


def test_localvoxtral_dictates_and_has_a_text_after_each_silence(server: Served, talk: Talk) -> None:
    assert configure(talk, transcription_delay_ms=500)["status"] == "ready"  # any; 480 is the nearest
    for clip in (CLIP, OTHER):
        send(talk, heard(clip))
        send(talk, SILENCE)
        *deltas, last = talk.hear_until("complete")
        assert last["text"] == "".join(delta["delta"] for delta in deltas).strip()
        assert told([last]) == told(deltas)
        assert last["is_partial"] is False
        if clip is CLIP:
            assert last["text"] == server.transcriber.transcribe(CLIP).text


def test_words_are_told_to_a_client_that_sends_no_silence(server: Served, talk: Talk) -> None:
    configure(talk)
    send(talk, heard())
    assert talk.hear_until("complete")[-1]["text"] == server.transcriber.transcribe(CLIP).text


def test_a_stop_completes_the_text_and_ends_the_connection(server: Served, talk: Talk) -> None:
    configure(talk)
    send(talk, heard())
    talk.socket.send('{"action": "stop"}')
    assert talk.hear_until("complete")[-1]["text"] == server.transcriber.transcribe(CLIP).text
    talk.hear_the_end()


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (b"\0\0\0", "3 bytes are not whole samples"),
        ("{", "Invalid JSON"),
        (json.dumps(CONFIGURATION | {"sample_rate": "fast"}), "the rate must be"),
        (json.dumps(CONFIGURATION | {"transcription_delay_ms": "soon"}), "transcription_delay_ms"),
    ],
)
def test_an_error_has_a_message_and_the_socket_stays(talk: Talk, message: str | bytes, text: str) -> None:
    configure(talk)
    for _ in range(2):
        talk.socket.send(message)
        event = talk.hear()
        assert (event["type"], event["status"]) == ("error", "error")
        assert text in event["error"]
    assert configure(talk)["status"] == "ready"


def test_audio_before_the_configuration_is_an_error_of_mistral(talk: Talk) -> None:
    talk.socket.send(bytes(3200))
    assert talk.hear()["error"]["code"] == 400
