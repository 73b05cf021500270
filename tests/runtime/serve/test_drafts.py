"""Drafts: a second text of the same session, sooner and not final, in every protocol."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from served import Served
from talk import CLIP, Talk, heard, talking

DELAYS = {"target_streaming_delay_ms": 960, "draft_streaming_delay_ms": 160}
REALTIME, MISTRAL = "/v1/realtime", "/v1/audio/transcriptions/realtime"


def vllm(talk: Talk) -> Iterator[dict[str, Any]]:
    talk.say("session.update", model="any", **DELAYS)
    talk.hear_until("session.updated")
    talk.say_audio("input_audio_buffer.append", heard())
    talk.say("input_audio_buffer.commit", final=True)
    yield from talk.hear_until("transcription.done")


def voxmlx(talk: Talk) -> Iterator[dict[str, Any]]:
    talk.say("session.update", **DELAYS)
    talk.hear_until("session.updated")
    talk.say_audio("input_audio_buffer.append", heard())
    talk.say("input_audio_buffer.commit", final=True)
    yield from talk.hear_until("response.audio_transcript.done")


def mistral(talk: Talk) -> Iterator[dict[str, Any]]:
    talk.say("session.update", session=DELAYS)
    assert DELAYS.items() <= talk.hear_until("session.updated")[-1]["session"].items()
    talk.say_audio("input_audio.append", heard())
    talk.say("input_audio.end")
    yield from talk.hear_until("transcription.done")


def mlx_audio(talk: Talk) -> Iterator[dict[str, Any]]:
    talk.socket.send(json.dumps({"model": "any", "sample_rate": 16000, **DELAYS}))
    talk.hear_until("ready")
    samples = heard()
    for start in range(0, len(samples), 1600):
        talk.socket.send(samples[start : start + 1600].tobytes())
    talk.socket.send(json.dumps({"action": "stop"}))
    yield from talk.hear_until("complete")


@pytest.mark.parametrize(
    ("speak", "address"),
    [(vllm, REALTIME), (voxmlx, f"{REALTIME}?dialect=voxmlx"), (mistral, MISTRAL), (mlx_audio, MISTRAL)],
)
def test_a_draft_runs_ahead_of_the_final_text_and_never_outlives_it(
    server: Served, speak: Any, address: str
) -> None:
    with talking(server.ws + address) as talk:
        events = list(speak(talk))
    drafts = [event["text"] for event in events if event["type"].endswith("draft")]
    deltas = [event for event in events if event["type"].endswith("delta")]
    assert events[-1]["text"] == server.transcriber.transcribe(CLIP, delay_ms=960).text
    assert any(drafts)
    assert events.index(deltas[0]) > next(i for i, e in enumerate(events) if e["type"].endswith("draft"))
    assert drafts[-1] == ""
    assert all(draft != after for draft, after in pairwise(drafts))


def test_a_draft_that_is_not_sooner_is_refused(server: Served) -> None:
    with talking(server.ws + MISTRAL) as talk:
        talk.say("session.update", session={"draft_streaming_delay_ms": 960})
        assert "draft" in talk.hear()["error"]["message"]
