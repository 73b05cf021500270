"""OpenAI's transcription sessions, message by message; see `test_realtime_clients.py` too."""

import asyncio
import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, cast
from unittest.mock import AsyncMock

import numpy as np
import pytest
import soundfile
import soxr
from committed import CLIPS
from patience import PATIENCE
from served import PLAIN, Served
from websockets.sync.client import ClientConnection, connect

from voxrun.serve.live import LiveSession
from voxrun.serve.protocols import openai
from voxrun.serve.protocols.openai_items import Items
from voxrun.serve.protocols.openai_session import DELAYS, LOGPROBS, Choices
from voxrun.serve.service import Service
from voxrun.serve.socket import Socket
from voxrun.stream.results import Result, Transcript
from voxrun.stream.turns import Passed
from voxrun.transcriber import Transcriber

CLIP = CLIPS / "prompts" / "vm-tempgreeting.flac"
CHAIN = CLIPS / "chains" / "chain-3.flac"
TRANSCRIPTION = "conversation.item.input_audio_transcription"


class Client:
    """Says events, and hears all until one of some types."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.events = socket, list[dict[str, Any]]()

    def say(self, type: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": type, **fields}))

    def update(self, **input: Any) -> dict[str, Any]:
        """The session after `audio.input` was updated."""
        self.say("session.update", session={"type": "transcription", "audio": {"input": input}})
        return dict(self.until("session.updated")["session"])

    def hear(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.socket.recv(timeout=PATIENCE))
        self.events.append(event)
        return event

    def until(self, type: str) -> dict[str, Any]:
        while (event := self.hear())["type"] != type:
            assert event["type"] != "error" or type == "error", event
        return event

    def append(self, samples: np.ndarray, size: int = 2400) -> None:
        for start in range(0, len(samples), size):
            self.say(
                "input_audio_buffer.append", audio=base64.b64encode(samples[start : start + size]).decode()
            )

    def of(self, type: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == type]

    def items(self) -> list[dict[str, Any]]:
        return self.of(f"{TRANSCRIPTION}.completed")


def pcm(path: Any = CLIP, silence: float = 0.0, rate: int = 24000) -> np.ndarray:
    """A clip and seconds of silence, as 16-bit samples at a rate."""
    samples, native = soundfile.read(path, dtype="float32")
    samples = soxr.resample(np.append(samples, np.zeros(round(silence * native), np.float32)), native, rate)
    return (samples * 32767).round().clip(-32768, 32767).astype("<i2")


def transcript(server: Served, samples: np.ndarray) -> Transcript:
    return server.transcriber.transcribe(samples, rate=24000)


def words(event: dict[str, Any]) -> list[tuple[str, float, float]]:
    return [(word["word"], word["start"], word["end"]) for word in event["words"]]


def expected_words(transcript: Transcript) -> list[tuple[str, float, float]]:
    return [(word.text.strip(), round(word.start, 3), round(word.end, 3)) for word in transcript.words]


@pytest.fixture
def client(server: Served) -> Iterator[Client]:
    with connect(f"{server.ws}/v1/realtime?intent=transcription", max_size=None) as socket:
        client = Client(socket)
        client.hear()
        yield client


def test_a_commit_ends_an_item(server: Served, client: Client) -> None:
    client.update(turn_detection=None)
    expected = transcript(server, pcm())
    ids: list[str] = []
    for _ in range(2):
        client.events.clear()
        client.append(pcm())
        client.say("input_audio_buffer.commit")
        completed = client.until(f"{TRANSCRIPTION}.completed")
        added, committed = (
            client.of("conversation.item.added")[0],
            client.of("input_audio_buffer.committed")[0],
        )
        deltas = client.of(f"{TRANSCRIPTION}.delta")
        assert client.events[0] is added
        assert {added["item"]["id"], committed["item_id"], completed["item_id"]} == {committed["item_id"]}
        assert added["previous_item_id"] == committed["previous_item_id"] == (ids[-1] if ids else None)
        assert "".join(delta["delta"] for delta in deltas) == completed["transcript"] == expected.text
        assert [word for delta in deltas for word in delta["words"]] == completed["words"]
        ids.append(completed["item_id"])
        usage = completed["usage"]
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 40
    assert words(client.events[-1])[0][1] > expected.words[-1].end  # in seconds of all audio
    event_ids = [event["event_id"] for event in client.events]
    assert len(set(event_ids)) == len(event_ids)


def test_turns_are_found_in_the_models_silence(server: Served, client: Client) -> None:
    samples = np.concatenate([pcm(silence=1.5), pcm(silence=1.5)])
    shown = client.update(turn_detection={"type": "server_vad", "silence_duration_ms": 640})
    assert shown["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 640
    client.append(samples)
    for _ in range(2):
        client.until(f"{TRANSCRIPTION}.completed")
    kinds = [event["type"] for event in client.events if not event["type"].endswith("delta")]
    turn = [
        "conversation.item.added",
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        f"{TRANSCRIPTION}.completed",
    ]
    assert kinds[2:] == turn * 2
    first, second = client.items()
    expected = transcript(server, samples)
    assert words(first) + words(second) == expected_words(expected)
    starts = [event["audio_start_ms"] for event in client.of("input_audio_buffer.speech_started")]
    ends = [event["audio_end_ms"] for event in client.of("input_audio_buffer.speech_stopped")]
    for item, start, end in zip((first, second), starts, ends, strict=True):
        assert start <= item["words"][0]["start"] * 1000
        assert 640 <= end - item["words"][-1]["end"] * 1000 < 900  # a last consonant is no silence
    assert client.of("input_audio_buffer.committed")[1]["previous_item_id"] == first["item_id"]


def test_without_more_audio_a_turn_ends_too(server: Served, client: Client) -> None:
    """A client that is muted sends nothing, not silence."""
    client.update(turn_detection={"type": "server_vad"})
    client.append(pcm())
    assert client.until(f"{TRANSCRIPTION}.completed")["transcript"] == transcript(server, pcm()).text


@pytest.mark.slow
@pytest.mark.parametrize("turn_detection", [None, {"type": "server_vad", "silence_duration_ms": 320}])
def test_commits_change_no_word_and_each_is_in_its_item(
    server: Served, client: Client, monkeypatch: pytest.MonkeyPatch, turn_detection: Any
) -> None:
    monkeypatch.setattr(openai, "QUIET", 1.0)
    client.update(turn_detection=turn_detection)
    samples, random, cuts, at = pcm(CHAIN), np.random.default_rng(14), list[float](), 0
    while at < len(samples):
        size = int(random.integers(300, 5 * 24000))
        client.append(samples[at : at + size], int(random.integers(100, 6000)))
        at += size
        cuts.append(min(at, len(samples)) / 24000)
        client.say("input_audio_buffer.commit")
    committed: list[str] = []
    while len(client.items()) < len(committed) or len(committed) < len(cuts):
        if client.hear()["type"] == "input_audio_buffer.committed":
            committed.append(client.events[-1]["item_id"])
    items = client.items()
    expected = expected_words(transcript(server, samples))
    assert [word for item in items for word in words(item)] == expected
    assert " ".join(filter(None, (item["transcript"] for item in items))) == transcript(server, samples).text
    assert [item["item_id"] for item in items] == committed
    previous = [event["previous_item_id"] for event in client.of("input_audio_buffer.committed")]
    assert previous == [None, *committed[:-1]]
    if turn_detection is None:
        for item, (start, end) in zip(items, pairwise([0.0, *cuts]), strict=True):
            assert words(item) == [word for word in expected if start < word[2] <= end]


def test_a_clear_drops_words_and_the_next_item_goes_on(server: Served, client: Client) -> None:
    client.update(turn_detection=None)
    client.append(pcm(silence=0.5))
    client.say("input_audio_buffer.clear")
    client.until("input_audio_buffer.cleared")
    client.events.clear()
    client.append(pcm())
    client.say("input_audio_buffer.commit")
    assert client.until(f"{TRANSCRIPTION}.completed")["transcript"] == transcript(server, pcm()).text
    assert client.of("input_audio_buffer.committed")[0]["previous_item_id"] is None
    assert len({event["item_id"] for event in client.of(f"{TRANSCRIPTION}.delta")}) == 1


def test_a_clear_forgets_speech_that_had_begun(server: Served, client: Client) -> None:
    client.update(turn_detection={"type": "server_vad"})
    client.append(pcm()[: 24000 * 2])
    begun = client.until("input_audio_buffer.speech_started")["item_id"]
    client.say("input_audio_buffer.clear")
    client.until("input_audio_buffer.cleared")
    client.append(pcm(silence=2.0))
    completed = client.until(f"{TRANSCRIPTION}.completed")
    assert completed["item_id"] != begun
    assert completed["transcript"].endswith("temporary greeting")
    assert not any(event["item_id"] == begun for event in client.of("input_audio_buffer.committed"))


def test_turn_detection_may_be_turned_off_and_on(server: Served, client: Client) -> None:
    client.update(turn_detection={"type": "server_vad"})
    client.update(turn_detection=None)
    client.append(pcm(silence=2.0))
    client.say("input_audio_buffer.commit")
    assert client.until(f"{TRANSCRIPTION}.completed")["transcript"] == transcript(server, pcm()).text
    assert not client.of("input_audio_buffer.speech_stopped")
    client.update(turn_detection={"type": "server_vad"})
    client.append(pcm(silence=2.0))
    assert client.until(f"{TRANSCRIPTION}.completed")["transcript"] == transcript(server, pcm()).text
    assert len(client.of("input_audio_buffer.speech_stopped")) == 1


def test_if_the_model_fails_the_items_do_and_the_next_audio_begins_anew(
    server: Served, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.update(turn_detection=None)
    with monkeypatch.context() as patched:
        patched.setattr(LiveSession, "flush", lambda live, tag: live._tell(MemoryError("no memory")))
        client.append(pcm())
        client.say("input_audio_buffer.commit")
        failed = client.until(f"{TRANSCRIPTION}.failed")
        assert failed["item_id"] == client.of("input_audio_buffer.committed")[0]["item_id"]
        assert failed["error"]["type"] == client.until("error")["error"]["type"] == "server_error"
    client.append(pcm())
    client.say("input_audio_buffer.commit")
    assert client.until(f"{TRANSCRIPTION}.completed")["transcript"] == transcript(server, pcm()).text
    assert client.of("input_audio_buffer.committed")[-1]["previous_item_id"] == failed["item_id"]


@pytest.mark.parametrize(
    ("type", "beta", "table"), [("audio/pcmu", "g711_ulaw", "ulaw"), ("audio/pcma", "g711_alaw", "alaw")]
)
def test_telephones_are_heard(client: Client, server: Served, type: str, beta: str, table: str) -> None:
    """In the form of the beta too."""
    shown = client.update(format={"type": type}, turn_detection=None)
    assert shown["audio"]["input"]["format"] == {"type": type}
    client.say(
        "transcription_session.update",
        session={
            "input_audio_format": beta,
            "input_audio_transcription": {"model": "whisper-1", "language": "de"},
            "turn_detection": None,
        },
    )
    shown = client.until("transcription_session.updated")["session"]
    assert (shown["input_audio_format"], shown["turn_detection"]) == (beta, None)
    transcription = shown["input_audio_transcription"]
    assert (transcription["model"], transcription["language"]) == ("whisper-1", None)
    samples = pcm(rate=8000)
    encoded = np.frombuffer(G711[table](samples), np.uint8)
    client.append(encoded, 800)
    client.say("input_audio_buffer.commit")
    heard = server.transcriber.transcribe(samples, rate=8000).text
    assert client.until(f"{TRANSCRIPTION}.completed")["transcript"] == heard


def test_what_the_server_does_not_do_is_shown_as_null(client: Client) -> None:
    shown = client.update(
        noise_reduction={"type": "near_field"},
        transcription={"model": "gpt-4o-transcribe", "prompt": "tea", "language": "fr", "delay": "high"},
        turn_detection={"type": "semantic_vad", "eagerness": "low", "create_response": True},
    )
    assert shown["audio"]["input"] == {
        "format": {"type": "audio/pcm", "rate": 24000},
        "noise_reduction": None,
        "transcription": {"model": "gpt-4o-transcribe", "prompt": None, "language": None, "delay": "high"},
        "turn_detection": {"type": "semantic_vad", "eagerness": "low"},
    }
    assert (shown["object"], shown["type"]) == ("realtime.transcription_session", "transcription")
    assert client.update(turn_detection=None)["audio"]["input"]["transcription"]["delay"] == "high"


@pytest.mark.parametrize("delay", DELAYS)
def test_a_delay_has_the_words_of_that_delay(server: Served, client: Client, delay: str) -> None:
    client.update(transcription={"model": "any", "delay": delay}, turn_detection=None)
    client.append(pcm())
    client.say("input_audio_buffer.commit")
    expected = server.transcriber.transcribe(pcm(), rate=24000, delay_ms=DELAYS[delay]).text
    assert client.until(f"{TRANSCRIPTION}.completed")["transcript"] == expected


def test_logprobs_are_the_models(server: Served, client: Client) -> None:
    client.say(
        "session.update", session={"include": [LOGPROBS], "audio": {"input": {"turn_detection": None}}}
    )
    client.append(pcm())
    client.say("input_audio_buffer.commit")
    completed = client.until(f"{TRANSCRIPTION}.completed")
    told = completed["logprobs"]
    assert b"".join(bytes(each["bytes"]) for each in told).decode().strip() == completed["transcript"]
    assert all(each["logprob"] <= 0 for each in told)
    assert np.exp(np.mean([each["logprob"] for each in told])) > 0.5  # it is sure of most
    assert [each for delta in client.of(f"{TRANSCRIPTION}.delta") for each in delta["logprobs"]] == told


@pytest.mark.parametrize("turn_detection", [None, {"type": "server_vad"}])
def test_a_draft_is_ahead_of_its_item_and_never_outlives_it(
    server: Served, client: Client, turn_detection: Any
) -> None:
    client.say(
        "session.update",
        session={
            "target_streaming_delay_ms": 960,
            "draft_streaming_delay_ms": 160,
            "audio": {"input": {"turn_detection": turn_detection}},
        },
    )
    samples = pcm(silence=2.5)
    for part in np.split(samples, [24000 * 3 // 2]):  # the first ends inside the speech
        client.append(part, 1200)
        if not client.of(f"{TRANSCRIPTION}.draft"):
            client.until(f"{TRANSCRIPTION}.draft")
        if turn_detection is None:
            client.say("input_audio_buffer.commit")
    items = [client.until(f"{TRANSCRIPTION}.completed") for _ in range(1 if turn_detection else 2)]
    for item in items:
        own = [event for event in client.events if event.get("item_id") == item["item_id"]]
        drafts = [event["text"] for event in own if event["type"] == f"{TRANSCRIPTION}.draft"]
        assert drafts[-1:] in ([], [""])
        assert all(one != other for one, other in pairwise(drafts))
        assert own[-1] is item
    kinds = [event["type"].rpartition(".")[2] for event in client.events]
    assert kinds.index("draft") < kinds.index("delta")
    expected = server.transcriber.transcribe(samples, rate=24000, delay_ms=960).text
    assert " ".join(item["transcript"] for item in items) == expected


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "dance"}, "unknown_event", "type"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "input_audio_buffer.append"}, "invalid_audio", "audio"),
        ({"type": "input_audio_buffer.append", "audio": "AAA"}, "invalid_audio", "audio"),
        ({"type": "session.update"}, "invalid_request", "session"),
        ({"type": "session.update", "session": {"type": "realtime"}}, "invalid_request", "session.type"),
        ({"type": "session.update", "session": {"audio": []}}, "invalid_request", "session.audio"),
        (
            {"type": "session.update", "session": {"include": ["everything"]}},
            "invalid_request",
            "session.include",
        ),
        (
            {"type": "session.update", "session": {"input_audio_format": "mp3"}},
            "invalid_request",
            "session.input_audio_format",
        ),
        *[
            (
                {"type": "session.update", "session": {"audio": {"input": {"turn_detection": turns}}}},
                "invalid_request",
                f"session.audio.input.turn_detection{field}",
            )
            for turns, field in [
                ({"type": "none"}, ".type"),
                ("server_vad", ""),
                ({"type": "server_vad", "silence_duration_ms": -1}, ".silence_duration_ms"),
                ({"type": "semantic_vad", "eagerness": "very"}, ".eagerness"),
            ]
        ],
    ],
)
def test_an_error_names_its_cause_and_the_socket_stays(
    client: Client, event: dict[str, Any], code: str, param: str | None
) -> None:
    client.say(event_id="mine", **event)
    error = client.until("error")["error"]
    assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
    assert (error["type"], bool(error["message"])) == ("invalid_request_error", True)
    client.socket.send("{")
    error = client.until("error")["error"]
    assert (error["code"], error["event_id"]) == ("invalid_json", None)
    client.update(turn_detection=None)


def test_an_impossible_option_is_refused_at_once_and_a_late_one_too(client: Client) -> None:
    for session in ({"target_streaming_delay_ms": 100}, {"temperature": "hot"}):
        client.say("session.update", session=session)
        assert client.until("error")["error"]["code"] == "invalid_request"
    for name, value in (("target_streaming_delay_ms", 100), ("temperature", 2.5)):
        client.say("session.update", session={name: value})
        assert client.until("error")["error"]["param"] == f"session.{name}"
    client.say("session.update", session={"target_streaming_delay_ms": 160})
    assert client.until("session.updated")["session"]["target_streaming_delay_ms"] == 160
    client.append(pcm()[:2400])
    client.say("session.update", session={"target_streaming_delay_ms": 240})
    assert "before the first audio" in client.until("error")["error"]["message"]


class Recorder:
    """Instead of a socket."""

    def __init__(self) -> None:
        self.events = list[dict[str, Any]]()
        self.completed = asyncio.Event()

    async def send(self, type: str, **fields: Any) -> None:
        self.events.append({"type": type, **fields})
        if type == f"{TRANSCRIPTION}.completed":
            self.completed.set()


async def appended(server: Served, recorder: Recorder) -> openai.OpenAi:
    """A conversation in which the clip was appended."""
    service = Service(server.service.settings)
    service.shelf._transcriber = server.transcriber
    protocol = openai.OpenAi(cast(Socket, recorder), service)
    await protocol.take({"type": "session.update", "session": {"turn_detection": None}})
    audio = base64.b64encode(pcm()).decode()
    await protocol.take({"type": "input_audio_buffer.append", "audio": audio})
    return protocol


def test_a_draft_of_words_behind_a_cut_is_taken_back_from_the_item(transcriber: Transcriber) -> None:
    async def told() -> list[tuple[str, Any]]:
        recorder = Recorder()
        items = Items(recorder.send, transcriber, None)
        await items.tell_draft(" on")
        await items.commit(1.0)
        await items.tell([Passed()], Choices("any"))
        return [(event["type"].rpartition(".")[2], event.get("text")) for event in recorder.events]

    kinds = ["added", "draft", "committed", "draft", "completed"]
    assert asyncio.run(told()) == list(zip(kinds, [None, " on", None, "", None], strict=True))


def test_when_the_server_ends_what_is_not_committed_is_an_item_too(server: Served) -> None:
    async def talk() -> dict[str, Any]:
        recorder = Recorder()
        protocol = await appended(server, recorder)
        await protocol.end()
        await protocol.close()
        return recorder.events[-1]

    event = asyncio.run(talk())
    assert event["type"] == f"{TRANSCRIPTION}.completed"
    assert event["transcript"] == transcript(server, pcm()).text


def test_a_commit_hears_what_the_change_of_rate_holds_back(server: Served) -> None:
    async def talk() -> float:
        recorder = Recorder()
        protocol = await appended(server, recorder)
        await protocol.take({"type": "input_audio_buffer.commit"})
        await recorder.completed.wait()
        assert protocol.live is not None
        heard = protocol.live.seconds
        await protocol.close()
        return heard

    assert asyncio.run(talk()) == pytest.approx(len(pcm()) / 24000, abs=1 / 16000)


def test_audio_that_comes_before_the_protocol_is_known_is_heard(server: Served) -> None:
    with connect(f"{server.ws}/v1/realtime") as socket:
        client = Client(socket)
        created = client.hear()
        assert created["session"]["id"] == created["id"]
        client.append(pcm())
        client.update(turn_detection=None)
        client.say("input_audio_buffer.commit")
        assert client.until(f"{TRANSCRIPTION}.completed")["transcript"] == transcript(server, pcm()).text


def _ulaw(samples: np.ndarray) -> bytes:
    """ITU-T G.711, by its definition."""
    size = np.minimum(np.abs(samples.astype(int)) + 132, 32767)
    exponent = np.log2(size).astype(int) - 7
    code = (samples < 0) * 128 | exponent << 4 | (size >> exponent + 3) & 15
    return bytes((~code & 255).astype(np.uint8))


def _alaw(samples: np.ndarray) -> bytes:
    size = np.abs(samples.astype(int)) >> 4
    exponent = np.maximum(np.log2(np.maximum(size, 1)).astype(int) - 4, 0)
    segment = np.where(size >= 16, exponent + 1, 0)
    code = (samples >= 0) * 128 | segment << 4 | (size >> exponent) & 15
    return bytes((code ^ 0x55).astype(np.uint8))


G711 = {"ulaw": _ulaw, "alaw": _alaw}


def test_audio_that_cannot_be_decoded_takes_no_place(server: Served) -> None:
    with connect(f"{server.ws}/v1/realtime?intent=transcription") as socket:
        client = Client(socket)
        client.until("session.created")
        for _ in range(2):
            client.say("input_audio_buffer.append", audio="%")
            client.until("error")
            assert server.service.sessions == 0
        client.say("input_audio_buffer.append", audio="AAAAAAAA")
        client.say("input_audio_buffer.commit")
        client.until("conversation.item.input_audio_transcription.completed")


def test_a_new_rate_does_not_hold_up_words_that_are_told(transcriber: Transcriber) -> None:
    async def run() -> None:
        service = Service(PLAIN)
        service.shelf._transcriber = transcriber
        protocol, told = openai.OpenAi(cast(Socket, AsyncMock()), service), asyncio.Event()
        await protocol.take({"type": "input_audio_buffer.append", "audio": "AAAAAAAA"})
        assert protocol.live is not None
        protocol.live.hear = lambda samples: told.wait()  # type: ignore[assignment,method-assign,return-value]
        update = {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}
        updating = asyncio.create_task(protocol.take({"type": "session.update", "session": update}))
        while protocol._choices.encoding != "pcm_mulaw":
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not updating.done()
        await asyncio.wait_for(protocol.heard(Result()), PATIENCE)
        told.set()
        await updating
        await protocol.close()

    asyncio.run(run())
