"""Mistral's protocol, spoken by its genuine client, and by hand where the client cannot."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import av
import numpy as np
import pytest
import soxr
from served import Served
from talk import CLIP, OTHER, Talk, heard, in_base64, talking, told, worded
from websockets.sync.client import connect

pytest.importorskip("mistralai")
from mistralai.client import Mistral
from mistralai.client.models import AudioFormat
from mistralai.extra.realtime import UnknownRealtimeEvent

PATH = "/v1/audio/transcriptions/realtime"
MODEL = "voxtral-mini-transcribe-realtime-2602"


def client(server: Served) -> Mistral:
    return Mistral(api_key="any", server_url=server.url)


async def pieces(data: bytes, size: int = 3200) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def transcribed(server: Served, data: bytes, **options: Any) -> list[Any]:
    """All events of a stream, as the genuine client hears them."""
    events = [
        event
        async for event in client(server).audio.realtime.transcribe_stream(pieces(data), MODEL, **options)
    ]
    assert not [event for event in events if isinstance(event, UnknownRealtimeEvent)]
    return events


def g711(samples: np.ndarray, encoding: str) -> bytes:
    """As FFmpeg encodes it."""
    encoder: Any = av.CodecContext.create(encoding, "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8000, "mono", "s16"
    frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
    frame.sample_rate = 8000
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def encoded(encoding: str) -> tuple[bytes, int, np.ndarray]:
    """A clip as bytes, their rate, and the samples that they stand for."""
    samples, floats = heard(), heard() / np.float32(32768)
    match encoding:
        case "pcm_s16le":
            return samples.tobytes(), 16000, floats
        case "pcm_s32le":
            return (samples.astype("<i4") << 16).tobytes(), 16000, floats
        case "pcm_f16le":
            return floats.astype("<f2").tobytes(), 16000, floats.astype("<f2")
        case "pcm_f32le":
            wide = soxr.resample(floats, 16000, 48000).astype("<f4")
            return wide.tobytes(), 48000, wide
    narrow = soxr.resample(samples, 16000, 8000)
    data = g711(narrow, encoding)
    decoder: Any = av.CodecContext.create(encoding, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    decoded = np.concatenate([frame.to_ndarray()[0] for frame in decoder.decode(av.Packet(data))])
    return data, 8000, decoded


@pytest.mark.parametrize(
    "encoding", ["pcm_s16le", "pcm_s32le", "pcm_f16le", "pcm_f32le", "pcm_mulaw", "pcm_alaw"]
)
def test_the_genuine_client_has_the_text_of_a_file(server: Served, encoding: str) -> None:
    data, rate, samples = encoded(encoding)
    form = AudioFormat(encoding=encoding, sample_rate=rate)
    created, updated, *events, done = asyncio.run(transcribed(server, data, audio_format=form))
    expected = server.transcriber.transcribe(samples, rate=rate)
    assert created.session.model == updated.session.model == done.model == MODEL
    assert updated.session.audio_format == form
    assert created.session.target_streaming_delay_ms == 480
    assert done.text == expected.text
    deltas = [event for event in events if event.type == "transcription.text.delta"]
    assert "".join(delta.text for delta in deltas).strip() == expected.text
    assert told([delta.model_dump() for delta in deltas]) == worded(expected.words)
    segments = [event for event in events if event.type == "transcription.segment"]
    assert [(s.text, s.start, s.end) for s in segments] == [(s.text, s.start, s.end) for s in done.segments]
    assert " ".join(segment.text for segment in segments) == expected.text
    assert done.usage.completion_tokens == len(expected.tokens)
    assert done.usage.prompt_audio_seconds == 4  # whole ones, rounded up


def test_a_draft_and_a_final_over_two_connections(server: Served) -> None:
    """As Mistral's example does: the same audio, a fast stream and an accurate one."""

    async def both() -> list[list[Any]]:
        streams = [
            transcribed(server, heard().tobytes(), target_streaming_delay_ms=delay) for delay in (240, 960)
        ]
        return await asyncio.gather(*streams)

    for events, delay in zip(asyncio.run(both()), (240, 960), strict=True):
        assert events[1].session.target_streaming_delay_ms == delay
        assert events[-1].text == server.transcriber.transcribe(CLIP, delay_ms=delay).text


def test_the_genuine_client_is_told_of_an_impossible_delay(server: Served) -> None:
    *_, error = asyncio.run(transcribed(server, b"", target_streaming_delay_ms=100))
    assert (error.type, error.error.code) == ("error", 400)
    assert error.error.message.startswith("a delay of 100 ms is not possible")


def test_a_server_that_is_full_says_so(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.service, "sessions", server.service.settings.limits.sessions)
    *_, error = asyncio.run(transcribed(server, heard().tobytes()))
    assert (error.type, error.error.code) == ("error", 429)


@pytest.fixture
def talk(server: Served) -> Iterator[Talk]:
    with talking(server.ws + PATH) as talk:
        yield talk


def test_a_client_may_ask_for_an_upgrade_in_two_headers(server: Served) -> None:
    """LiveKit's plugin passes on the headers of its HTTP client."""
    with connect(server.ws + PATH, additional_headers={"Connection": "keep-alive"}) as socket:
        assert Talk(socket).hear()["type"] == "session.created"


def test_every_flush_and_the_end_complete_a_text(server: Served, talk: Talk) -> None:
    texts = []
    for clip in (CLIP, OTHER):
        talk.say_audio("input_audio.append", heard(clip))
        talk.say("input_audio.flush")
        done = talk.hear_until("transcription.done")[-1]
        texts.append(done["text"])
        assert done["usage"]["completion_tokens"] > 0
    assert texts[0] == server.transcriber.transcribe(CLIP).text
    assert texts[1]
    talk.say("input_audio.end")
    assert talk.hear_until("transcription.done")[-1]["text"] == ""
    talk.hear_the_end()


def test_words_have_the_times_of_the_whole_stream(server: Served, talk: Talk) -> None:
    for clip in (CLIP, OTHER):
        talk.say_audio("input_audio.append", heard(clip))
        talk.say("input_audio.flush")
    first, second = (talk.hear_until("transcription.done") for _ in range(2))
    seconds = len(heard()) / 16000
    assert told(first[-1:])[-1][2] <= seconds <= told(second[-1:])[0][2]


def test_turns_are_told_around_their_words(server: Served, talk: Talk) -> None:
    """In the events of the SDK, which has them since version 3."""
    silence = np.zeros(16000, np.int16)
    talk.say("session.update", session={"turn_detection": {"min_silence_ms": 400}})
    assert talk.hear()["session"]["turn_detection"] == {"min_silence_ms": 400}
    talk.say_audio("input_audio.append", np.concatenate([heard(), silence, heard(), silence]))
    talk.say("input_audio.end")
    *events, done = talk.hear_until("transcription.done")
    turns = [event for event in events if event["type"].startswith("turn.")]
    assert [turn["type"] for turn in turns] == ["turn.start", "turn.end"] * 2
    deltas = [event for event in events if event["type"] == "transcription.text.delta"]
    first = [delta for delta in deltas if events.index(delta) < events.index(turns[1])]
    words = worded(server.transcriber.transcribe(CLIP).words)
    assert told(first) == words
    assert events.index(turns[0]) < events.index(first[0])
    assert (turns[1]["time_s"], turns[1]["end_reason"]) == (words[-1][2], "threshold")
    assert done["text"] == "".join(delta["text"] for delta in deltas).strip()


@pytest.mark.parametrize("before", [[], ["input_audio.flush"]])
def test_the_end_is_answered_even_without_audio(talk: Talk, before: list[str]) -> None:
    for type in (*before, "input_audio.end"):
        talk.say(type)
        done = talk.hear_until("transcription.done")[-1]
        assert (done["text"], done["segments"], done["usage"]["total_tokens"]) == ("", [], 0)
    talk.hear_the_end()


def test_a_session_is_updated_only_before_its_audio(server: Served, talk: Talk) -> None:
    talk.say("session.update", session={"target_streaming_delay_ms": 960, "temperature": 0})
    session = talk.hear()["session"]
    assert (session["target_streaming_delay_ms"], session["audio_format"]["sample_rate"]) == (960, 16000)
    talk.say("session.update", session={"audio_format": {"encoding": "pcm_f32le", "sample_rate": 16000}})
    session = talk.hear()["session"]
    assert (session["target_streaming_delay_ms"], session["audio_format"]["encoding"]) == (960, "pcm_f32le")
    floats = (heard() / 32768).astype("<f4")
    talk.say_audio("input_audio.append", floats)
    talk.say("session.update", session={"target_streaming_delay_ms": 480})
    events = [talk.hear()]
    while events[-1]["type"] != "error":
        events.append(talk.hear())
    assert events[-1]["error"]["message"] == "Session fields cannot be changed after audio has started."
    talk.say("input_audio.end")
    expected = server.transcriber.transcribe(CLIP, delay_ms=960)
    assert talk.hear_until("transcription.done")[-1]["text"] == expected.text


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"type": "dance"}, 400),
        ({"type": "session.update"}, 400),
        ({"type": "session.update", "session": {"audio_format": {"encoding": "mp3", "sample_rate": 1}}}, 400),
        ({"type": "session.update", "session": {"audio_format": "pcm_s16le"}}, 400),
        ({"type": "session.update", "session": {"audio_format": {"encoding": "pcm_s16le"}}}, 400),
        ({"type": "session.update", "session": {"temperature": 10**400}}, 400),
        ({"type": "session.update", "session": {"turn_detection": {"min_silence_ms": -1}}}, 400),
        ({"type": "session.update", "session": {"turn_detection": "please"}}, 400),
        ({"type": "input_audio.append"}, 400),
        ({"type": "input_audio.append", "audio": "AA=="}, 400),
        ({"type": "input_audio.append", "audio": in_base64(bytes(2**18 + 2))}, 413),
    ],
)
def test_an_error_has_a_code_and_the_socket_stays(talk: Talk, event: dict[str, Any], code: int) -> None:
    for _ in range(2):
        talk.say(**event)
        error = talk.hear()
        assert (error["type"], error["error"]["code"]) == ("error", code)
        assert error["error"]["message"]
    talk.say_audio("input_audio.append", heard(OTHER))
    talk.say("input_audio.end")
    assert talk.hear_until("transcription.done")[-1]["text"]
