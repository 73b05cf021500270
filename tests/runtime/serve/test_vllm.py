"""vLLM's protocol, in the order of events that its documentation has, and in others."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock

import numpy as np
import pytest
from served import Served
from talk import CLIP, OTHER, Talk, heard, in_base64, talking, told, worded

from voxrun.serve.protocols.openai import OpenAi
from voxrun.serve.protocols.vllm import Vllm
from voxrun.serve.realtime import Conversation, by_event

APPEND, COMMIT = "input_audio_buffer.append", "input_audio_buffer.commit"


@pytest.fixture
def talk(server: Served) -> Iterator[Talk]:
    with talking(f"{server.ws}/v1/realtime") as talk:
        yield talk


def done(talk: Talk) -> dict[str, Any]:
    """The end of an utterance, which must have all that its deltas had."""
    *deltas, last = talk.hear_until("transcription.done")
    assert last["text"] == "".join(delta["delta"] for delta in deltas).strip()
    assert told([last]) == told(deltas)
    return last


def test_a_clip_has_the_text_and_the_words_that_a_file_has(server: Served, talk: Talk) -> None:
    talk.say("session.update", model="any")
    for clip in (CLIP, OTHER):  # two utterances on one socket
        talk.say(COMMIT)
        talk.say_audio(APPEND, heard(clip))
        talk.say(COMMIT, final=True)
        last, expected = done(talk), server.transcriber.transcribe(clip)
        assert (last["text"], told([last])) == (expected.text, worded(expected.words))
        usage = last["usage"]
        assert usage["completion_tokens"] == len(expected.tokens)
        assert usage["total_tokens"] == usage["prompt_tokens"] + len(expected.tokens)
        assert usage["prompt_tokens"] == 1 + 32 + 6  # silence, and a delay of 480 ms


@pytest.mark.parametrize("order", ["audio first", "no commit but the last", "many commits", "one message"])
def test_other_orders_give_the_same_text(server: Served, talk: Talk, order: str) -> None:
    samples = heard()
    if order == "audio first":  # even before the update, as in vLLM
        talk.say_audio(APPEND, samples)
    talk.say("session.update", model="any")
    if order in ("audio first", "one message"):
        talk.say(COMMIT)
    if order == "one message":
        talk.say_audio(APPEND, samples, piece=len(samples))
    if order == "no commit but the last":
        talk.say_audio(APPEND, samples)
    if order == "many commits":
        for part in np.array_split(samples, 7):
            talk.say_audio(APPEND, part)
            talk.say(COMMIT, final=False)
    talk.say(COMMIT, final=True)
    assert done(talk)["text"] == server.transcriber.transcribe(CLIP).text


def test_what_comes_after_the_final_commit_belongs_to_the_next_utterance(server: Served, talk: Talk) -> None:
    talk.say("session.update", model="any")
    for clip in (CLIP, OTHER, CLIP):  # and nobody waits for an answer
        talk.say_audio(APPEND, heard(clip))
        talk.say(COMMIT, final=True)
    for clip in (CLIP, OTHER, CLIP):
        assert done(talk)["text"] == server.transcriber.transcribe(clip).text


def test_a_final_commit_is_always_answered(talk: Talk) -> None:
    talk.say("session.update", model="any")
    for start in (False, True):
        if start:
            talk.say(COMMIT)
        talk.say(COMMIT, final=True)
        assert done(talk)["text"] == ""


def test_an_utterance_has_the_delay_that_was_asked_for(server: Served, talk: Talk) -> None:
    talk.say("session.update", model="any", target_streaming_delay_ms=960, temperature=0)
    assert talk.hear()["target_streaming_delay_ms"] == 960
    talk.say_audio(APPEND, heard())
    talk.say(COMMIT, final=True)
    last, expected = done(talk), server.transcriber.transcribe(CLIP, delay_ms=960)
    assert (last["text"], told([last])) == (expected.text, worded(expected.words))
    assert last["usage"]["prompt_tokens"] == 1 + 32 + 12


def test_segments_are_told_to_a_client_that_asks(server: Served, talk: Talk) -> None:
    talk.say("session.update", model="any", timestamp_granularities=["segment"])
    assert talk.hear()["type"] == "session.updated"
    talk.say_audio(APPEND, heard())
    talk.say(COMMIT, final=True)
    *deltas, last = talk.hear_until("transcription.done")
    expected = server.transcriber.transcribe(CLIP)
    assert last["segments"] == [{"text": w.text, "end": round(w.end, 3)} for w in expected.words]
    assert last["segments"] == [segment for delta in deltas for segment in delta["segments"]]


@pytest.mark.parametrize(
    ("message", "code", "text"),
    [
        ("{", "invalid_json", "Invalid JSON"),
        ('{"type": "dance"}', "unknown_event", "Unknown event type: dance"),
        (f'{{"type": "{COMMIT}"}}', "model_not_validated", "Model not validated."),
        (f'{{"type": "{COMMIT}", "final": true}}', "model_not_validated", "Model not validated."),
        (f'{{"type": "{COMMIT}", "final": "yes"}}', "processing_error", "final must be true or false"),
        (f'{{"type": "{APPEND}", "audio": "AA=="}}', "invalid_audio", "Invalid audio data: 1 bytes"),
        (f'{{"type": "{APPEND}", "audio": ""}}', "invalid_audio", "Invalid audio data: there is no audio"),
        (f'{{"type": "{APPEND}", "audio": "%"}}', "invalid_audio", "the audio is not base64"),
        (f'{{"type": "{APPEND}"}}', "invalid_audio", "Invalid audio data"),
        ('{"type": "session.update"}', "processing_error", "session.update needs a model"),
        (
            '{"type": "session.update", "model": "m", "target_streaming_delay_ms": 100}',
            "processing_error",
            "a delay of 100 ms is not possible",
        ),
        ('{"type": "session.update", "model": "m", "temperature": "hot"}', "processing_error", "temperature"),
        ('{"type": "session.update", "model": "m", "temperature": 1e999}', "processing_error", "temperature"),
        (
            '{"type": "session.update", "model": "m", "timestamp_granularities": ["letter"]}',
            "processing_error",
            "timestamp_granularities",
        ),
    ],
)  # fmt: skip
def test_an_error_has_a_code_and_the_socket_stays(talk: Talk, message: str, code: str, text: str) -> None:
    for _ in range(2):
        talk.socket.send(message)
        event = talk.hear()
        assert (event["type"], event["code"]) == ("error", code)
        assert text in event["error"]


def test_half_a_character_comes_back_as_it_was_sent(talk: Talk) -> None:
    talk.say("session.update", model="\ud83d", temperature=0)
    assert talk.hear()["model"] == "\ud83d"


def test_audio_of_more_than_25_mib_is_refused(talk: Talk) -> None:
    talk.say(APPEND, audio=in_base64(bytes(25 * 2**20 + 2)))
    assert talk.hear()["code"] == "invalid_audio"
    talk.say("session.update", model="any", temperature=0)
    assert talk.hear()["type"] == "session.updated"


def test_audio_is_not_kept_without_end_before_an_update(server: Served, talk: Talk) -> None:
    for _ in range(2):
        talk.say(
            APPEND, audio=in_base64(bytes(32000 * round(server.service.settings.limits.waiting_seconds)))
        )
    assert talk.hear()["code"] == "model_not_validated"


def test_of_events_before_the_update_only_the_audio_is_kept(server: Served) -> None:
    socket = AsyncMock()
    talk = Conversation([Vllm(socket, server.service), OpenAi(socket, server.service)], by_event)
    event = {"type": APPEND, "audio": in_base64(bytes(2)), "junk": "which may be as large as a message"}
    asyncio.run(talk.hear(json.dumps(event)))
    assert APPEND in repr(vars(talk))
    assert "junk" not in repr(vars(talk))
