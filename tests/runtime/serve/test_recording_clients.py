"""Programs that upload recordings, by the requests that they send: curl, Home Assistant, whisper.cpp's."""

import io
import json
import shlex
import shutil
import subprocess
import wave
from concurrent.futures import Future

import httpx
import pytest
import soundfile
from committed import CLIPS
from patience import PATIENCE
from served import Served

from voxrun.stream.results import Result
from voxrun.stream.session import Session

CLIP = CLIPS / "prompts" / "vm-tempgreeting.flac"
CURL = [
    ("curl {url}/v1/audio/transcriptions -F file=@{clip} -F model=any", "json"),
    ("curl {url}/v1/audio/transcriptions -F file=@{clip} -F response_format=text", "text"),
    ("curl {url}/v1/audio/transcriptions -F 'file=<{clip}' -F response_format=text", "text"),
    ("curl -N {url}/v1/audio/transcriptions -F file=@{clip} -F stream=true", "events"),
    ("curl {url}/inference -F file=@{clip} -F temperature=0.0 -F response_format=json", "json"),
    ("curl -H 'Expect: 100-continue' {url}/inference -F file=@{clip} -F response_format=text", "text"),
]


@pytest.fixture(scope="module")
def text(server: Served) -> str:
    return server.transcriber.transcribe(CLIP).text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(("line", "kind"), CURL)
def test_curl(server: Served, text: str, line: str, kind: str) -> None:
    command = shlex.split(line.format(url=server.url, clip=CLIP))
    out = subprocess.run(
        [*command, "-sSf"], capture_output=True, check=True, timeout=PATIENCE
    ).stdout.decode()
    if kind == "events":
        last = out.strip().splitlines()[-1]
        out = json.loads(last.removeprefix("data: "))["text"]
    assert (json.loads(out)["text"] if kind == "json" else out.strip()) == text


def test_home_assistants_openai_stt(server: Served, text: str) -> None:
    """As `requests` sends it for fabio-garavini/ha-openai-whisper-stt-api, with samples from a microphone."""
    samples, rate = soundfile.read(CLIP, dtype="int16")
    recording = io.BytesIO()
    with wave.open(recording, "wb") as file:
        file.setnchannels(1)
        file.setframerate(rate)
        file.setsampwidth(2)
        file.writeframes(samples.tobytes())
    data = {"model": "whisper-1", "language": "en", "temperature": 0, "prompt": "", "response_format": "json"}
    key = {"Authorization": "Bearer none"}
    assert httpx.get(f"{server.url}/v1/models/whisper-1", headers=key).status_code == 200
    answer = httpx.post(
        f"{server.url}/v1/audio/transcriptions",
        headers=key,
        files={"file": ("audio.wav", recording.getvalue(), "audio/wav")},
        data=data,
    )
    assert answer.json()["text"] == text


def test_wyoming_openai(server: Served, text: str) -> None:
    """As roryeckel/wyoming_openai asks, from which Home Assistant's Wyoming integration hears words early."""
    openai = pytest.importorskip("openai")
    recording = io.BytesIO(CLIP.read_bytes())
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        events = client.audio.transcriptions.create(
            file=recording,
            model="voxtral",
            temperature=0.0,
            prompt="The Glorious",
            response_format="json",
            stream=True,
            extra_body={"vad_filter": False},
        )
        assert "".join(event.delta for event in events if event.type == "transcript.text.delta") == text


def test_whisper_cpps_clients(server: Served, text: str) -> None:
    def post(**data: str) -> httpx.Response:
        return httpx.post(f"{server.url}/inference", files={"file": CLIP.read_bytes()}, data=data)

    expected = server.transcriber.transcribe(CLIP, alternatives=1)
    assert post().json()["text"] == text
    assert post(response_format="srt").text.startswith("1\n00:00:00,000 --> ")
    verbose = post(response_format="verbose_json", temperature="0.0", temperature_inc="0.2").json()
    words = [word for segment in verbose["segments"] for word in segment["words"]]
    assert [(word["word"], word["end"]) for word in words] == [
        (word.text.strip(), round(word.end, 3)) for word in expected.words
    ]
    first = expected.words[0].tokens[0].alternatives[0].probability
    assert words[0]["probability"] == pytest.approx(first, abs=1e-4)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/audio/transcriptions", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/v1/audio/translations", 400, "invalid_request"),
        ("POST", "/v1/audio/transcriptions", 415, "unsupported_media_type"),
        ("POST", "/inference", 415, "unsupported_media_type"),
    ],
)
def test_every_error_has_one_form(server: Served, method: str, path: str, status: int, code: str) -> None:
    response = httpx.request(method, server.url + path)
    assert response.status_code == status
    error = response.json()["error"]
    assert list(error) == ["message", "type", "param", "code"]
    assert (error["type"], error["code"]) == ("invalid_request_error", code)
    assert error["message"]


def test_a_fault_of_the_server_is_told_without_a_traceback(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("voxrun.serve.http.transcriptions.heard", fail)
    response = httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": CLIP.read_bytes()})
    assert (response.status_code, response.json()["error"]["type"]) == (500, "server_error")
    assert "secret" not in response.text


def test_a_fault_of_the_model_is_told(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(session: Session) -> Future[Result]:
        future: Future[Result] = Future()
        future.set_exception(MemoryError("the device has no more memory"))
        return future

    monkeypatch.setattr(Session, "finish_later", fail)
    response = httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": CLIP.read_bytes()})
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (500, "server_error", "failed")
    assert "no more memory" in error["message"]
