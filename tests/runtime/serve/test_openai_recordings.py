"""Recordings by the genuine client of OpenAI: what it gets is what `voxrun` writes."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS
from recordings import RECORDINGS
from recordings.encode import encoded
from recordings.video import film
from served import PLAIN, Served, served

from voxrun.cli.main import main
from voxrun.transcriber import Transcriber

openai = pytest.importorskip("openai")

CLIP = CLIPS / "prompts" / "vm-tempgreeting.flac"
SHORT = CLIPS / "prompts" / "please-try-again.flac"
UNSURE = CLIPS / "prompts" / "vm-youhave.flac"
"""The model is not sure what this says, and hears it otherwise with another delay."""
FORMATS = {"text": "txt", "srt": "srt", "vtt": "vtt"}
DAMAGED = "flac-cut"


@pytest.fixture(scope="module")
def client(server: Served) -> Any:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def create(client: Any) -> Any:
    """Transcribes the clip, or what is given instead."""
    return lambda **fields: client.audio.transcriptions.create(
        **{"file": CLIP, "model": "whisper-1", **fields}
    )


@pytest.fixture
def written(transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Any:
    """What the command prints, by --format."""
    monkeypatch.setattr(Transcriber, "load", lambda folder: transcriber)

    def written(format: str) -> str:
        assert main(["--model", str(CHECKPOINT), str(CLIP), "--format", format]) == 0
        return capsys.readouterr().out

    return written


@pytest.mark.parametrize("format", FORMATS)
def test_a_document_is_the_one_of_the_command(create: Any, written: Any, format: str) -> None:
    assert create(response_format=format) == written(FORMATS[format])


def test_json_has_the_text_and_the_length(create: Any, transcriber: Transcriber) -> None:
    expected, answer = transcriber.transcribe(CLIP), create()
    assert answer.text == expected.text
    assert answer.usage.seconds == round(expected.seconds, 3)
    assert answer.logprobs is None


@pytest.mark.parametrize(
    ("asked", "segments", "words"),
    [
        ([], True, False),
        (["segment"], True, False),
        (["word"], False, True),
        (["word", "segment"], True, True),
    ],
)
def test_verbose_json_has_the_times_that_are_asked_for(
    create: Any, transcriber: Transcriber, asked: list[str], segments: bool, words: bool
) -> None:
    answer = create(response_format="verbose_json", timestamp_granularities=asked or openai.omit)
    expected = transcriber.transcribe(CLIP)
    assert answer.text == expected.text
    assert answer.duration == answer.usage.seconds == round(expected.seconds, 3)
    assert answer.language == "und"
    assert (answer.segments is not None, answer.words is not None) == (segments, words)
    if words:
        assert [(word.word, word.start, word.end) for word in answer.words] == [
            (word.text.strip(), round(word.start, 3), round(word.end, 3)) for word in expected.words
        ]
    if segments:
        assert " ".join(segment.text for segment in answer.segments) == expected.text
        tokens = [token.id for word in expected.words for token in word.tokens]
        assert [id for segment in answer.segments for id in segment.tokens] == tokens


def probabilities(transcriber: Transcriber, clip: Path, **options: Any) -> list[float]:
    """The logarithms of those of the tokens."""
    words = transcriber.transcribe(clip, alternatives=1, **options).words
    return [float(np.log(token.alternatives[0].probability)) for word in words for token in word.tokens]


def test_log_probabilities_are_those_of_the_model(create: Any, transcriber: Transcriber) -> None:
    expected = probabilities(transcriber, UNSURE)
    answer = create(file=UNSURE, include=["logprobs"])
    assert np.allclose([each.logprob for each in answer.logprobs], expected, atol=1e-5)
    assert b"".join(bytes(map(int, each.bytes)) for each in answer.logprobs).decode().strip() == answer.text
    segments = create(file=UNSURE, response_format="verbose_json").segments
    assert segments[0].avg_logprob == pytest.approx(np.mean(expected[: len(segments[0].tokens)]), abs=1e-5)
    assert min(expected) < -1e-4  # or else zeros would do


def test_events_are_the_text_piece_by_piece(create: Any, transcriber: Transcriber) -> None:
    expected = transcriber.transcribe(CLIP)
    *deltas, done = create(stream=True)
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text == expected.text
    words = [word for event in deltas for word in event.words]
    assert [(word["word"], word["end"]) for word in words] == [
        (word.text.strip(), round(word.end, 3)) for word in expected.words
    ]
    assert done.words == words


def test_events_of_verbose_json_have_segments(create: Any) -> None:
    events = list(create(stream=True, response_format="verbose_json"))
    segments = [event for event in events if event.type == "transcript.text.segment"]
    assert [(each.start, each.end, each.text) for each in segments] == [
        (each["start"], each["end"], each["text"]) for each in events[-1].segments
    ]
    assert segments


def test_the_asynchronous_client_hears_several_at_once(server: Served, transcriber: Transcriber) -> None:
    clips = sorted((CLIPS / "digits").glob("*.flac"))[:3]

    async def texts() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
            whole = [client.audio.transcriptions.create(file=clip, model="any") for clip in clips]
            stream = await client.audio.transcriptions.create(file=CLIP, model="any", stream=True)
            events = [event async for event in stream]
            return [answer.text for answer in await asyncio.gather(*whole)] + [events[-1].text]

    assert asyncio.run(texts()) == [transcriber.transcribe(clip).text for clip in [*clips, CLIP]]


def recordings() -> dict[str, bytes]:
    samples, rate = soundfile.read(SHORT, dtype="float32")
    return {
        "talk.wav": encoded("wav", "pcm_s16le", samples, rate=rate),
        "talk.mp3": encoded("mp3", "libmp3lame", samples, rate=rate),
        "talk.m4a": encoded("ipod", "aac", samples, rate=rate),
        "talk.webm": encoded("webm", "libopus", samples, rate=rate),
        "film.mp4": film("mp4", "aac", samples)(),
        "../\u00e9 \u8bdd\n?.txt": SHORT.read_bytes(),
        "": SHORT.read_bytes(),
    }


@pytest.mark.slow
def test_every_format_is_heard_whatever_its_name(create: Any, transcriber: Transcriber) -> None:
    for name, data in recordings().items():
        expected = transcriber.transcribe(data).text
        assert create(file=(name, data)).text == expected, name
        assert expected


@pytest.mark.parametrize("field", ["delay_ms", "target_streaming_delay_ms"])
def test_a_delay_is_that_of_the_session(create: Any, transcriber: Transcriber, field: str) -> None:
    heard = {delay: probabilities(transcriber, UNSURE, delay_ms=delay) for delay in (None, 2400)}
    answer = create(file=UNSURE, include=["logprobs"], extra_body={field: 2400})
    got = [each.logprob for each in answer.logprobs]
    assert np.allclose(got, heard[2400], atol=1e-5)
    assert not np.allclose(got, heard[None], atol=1e-3)


def test_a_temperature_samples_as_the_command_does(create: Any, transcriber: Transcriber) -> None:
    expected = transcriber.transcribe(CLIP, temperature=2).text
    assert create(temperature=2).text == expected != transcriber.transcribe(CLIP).text


def test_what_is_lost_is_told_to_the_client_alone(
    create: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = RECORDINGS[DAMAGED].make()
    for answer in (create(file=damaged), create(file=damaged, response_format="verbose_json")):
        assert "lost" in answer.warnings[0]
    assert "lost" in list(create(file=damaged, stream=True))[-1].warnings[0]
    raw = client.audio.transcriptions.with_raw_response.create(
        file=("\u00e9.flac", damaged), model="any", response_format="srt"
    )
    assert "lost" in raw.headers["Voxrun-Warning"]
    assert not hasattr(create(), "warnings")
    assert not caplog.records


@pytest.mark.parametrize(
    ("fields", "param", "about"),
    [
        ({"file": b"garbage " * 1000}, "file", "this is text"),
        ({"file": b""}, "file", "empty"),
        ({"response_format": "diarized_json"}, "response_format", "speakers"),
        ({"response_format": "xml"}, "response_format", "xml"),
        ({"temperature": -1}, "temperature", "from 0 to 2"),
        ({"temperature": 2.1}, "temperature", "from 0 to 2"),
        ({"extra_body": {"delay_ms": 81}}, "delay_ms", "81"),
        ({"extra_body": {"target_streaming_delay_ms": 81}}, "target_streaming_delay_ms", "81"),
        ({"extra_body": {"target_streaming_delay_ms": "soon"}}, "target_streaming_delay_ms", "soon"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities[]", "verbose_json"),
        ({"include": ["logprobs"], "response_format": "text"}, "include[]", "json"),
        ({"include": ["logprobs"], "temperature": 1}, "include[]", "temperature"),
        ({"stream": True, "response_format": "srt"}, "stream", "srt"),
    ],
)
def test_what_is_impossible_is_the_clients_own_error(
    create: Any, fields: dict[str, Any], param: str | None, about: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=about) as error:
        create(**fields)
    assert error.value.param == param
    assert error.value.type == "invalid_request_error"
    assert error.value.code


def test_a_recording_that_breaks_off_in_a_stream_of_events_is_an_error(create: Any) -> None:
    samples = np.zeros(16000 * 12, np.float32)
    samples[-100] = np.nan
    recording = encoded("wav", "pcm_f32le", samples, rate=16000, form="flt")
    with pytest.raises(openai.APIError, match="NaN"):
        list(create(file=recording, stream=True))
    with pytest.raises(openai.BadRequestError, match="NaN") as error:
        create(file=recording)
    assert error.value.code == "invalid_audio"


def test_the_model_answers_to_every_name(client: Any) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.sampling_rate, model.default_delay_ms) == ("tiny", 16000, 480)
    for name in ("whisper-1", "mlx-community/Voxtral-Mini-4B-Realtime-6bit"):
        other = client.models.retrieve(name)
        assert (other.id, other.root, other.object) == (name, "tiny", "model")


def test_the_delay_that_the_operator_chose_is_shown(transcriber: Transcriber) -> None:
    with served(transcriber, replace(PLAIN, delay_ms=960.0)) as server:
        (model,) = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert model["default_delay_ms"] == 960


def test_a_full_server_is_the_clients_own_error(transcriber: Transcriber) -> None:
    with (
        served(transcriber) as full,
        openai.OpenAI(base_url=f"{full.url}/v1", api_key="any", max_retries=0) as c,
    ):
        full.service.sessions = full.service.settings.limits.sessions
        with pytest.raises(openai.InternalServerError) as error:
            c.audio.transcriptions.create(file=CLIP, model="any")
        assert error.value.status_code == 503
        assert error.value.response.headers["retry-after"]
        assert error.value.code == "overloaded"
