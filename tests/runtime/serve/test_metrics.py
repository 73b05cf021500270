"""Figures about a server, as Prometheus reads them."""

import time

import httpx
import pytest
import soundfile
from committed import CLIPS
from one_thread import strangers
from patience import until
from prometheus_client.parser import text_string_to_metric_families
from served import Served
from test_limits import begin, client, hear, say, transcript

CLIP = CLIPS / "prompts" / "please-try-again.flac"


def figures(server: Served) -> dict[tuple[str, ...], float]:
    """Name and values of labels -> value."""
    answer = httpx.get(f"{server.url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_session_is_counted_while_it_is_open_and_for_what_it_said(server: Served) -> None:
    before = time.monotonic()
    text = transcript(server)
    with client(server) as socket:
        begin(socket)
        say(socket, "input_audio_buffer.append", audio="?")
        until(lambda: figures(server)[("voxrun_open_sessions", "vllm")] == 1)
        until(lambda: figures(server)[("voxrun_refused_total", "invalid_audio")] == 1)
    until(lambda: figures(server)[("voxrun_open_sessions", "vllm")] == 0)
    told = figures(server)
    assert told[("voxrun_sessions_total", "vllm")] == 2
    assert told[("voxrun_audio_seconds_total",)] == pytest.approx(soundfile.info(CLIP).duration)
    assert (
        told[("voxrun_words_total",)] == told[("voxrun_latency_seconds_count", "vllm")] == len(text.split())
    )
    assert 0 < told[("voxrun_latency_seconds_sum", "vllm")] < len(text.split()) * (time.monotonic() - before)
    assert told[("voxrun_waiting_audio_seconds",)] == 0
    assert told[("voxrun_model_loaded",)] == 1
    assert told[("voxrun_real_time_factor",)] > 0
    assert told[("voxrun_peak_resident_bytes",)] > 10e6
    assert told[("voxrun_mlx_active_bytes",)] > 0


def test_what_is_refused_over_http_or_is_no_json_is_counted(server: Served) -> None:
    before = figures(server)
    httpx.post(f"{server.url}/v1/audio/transcriptions", content=b"{}")
    httpx.post(f"{server.url}/v1/audio/transcriptions", files={"file": b"no sound"})
    httpx.post(f"{server.url}/v1/audio/translations")
    with client(server) as socket:
        socket.send("{")
        assert hear(socket)["code"] == "invalid_json"
    after = figures(server)
    for kind in ("unsupported_media_type", "invalid_audio", "invalid_request", "invalid_json"):
        name = ("voxrun_refused_total", kind)
        assert after[name] - before[name] == 1, kind


def test_a_server_calls_mlx_in_the_owner_thread_only(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    others = strangers(monkeypatch)
    assert transcript(server)  # over a socket
    answer = httpx.post(
        f"{server.url}/v1/audio/transcriptions",
        files={"file": CLIP.read_bytes()},
        data={"response_format": "verbose_json", "temperature": "0.5"},
    )
    assert answer.status_code == 200
    assert figures(server)[("voxrun_mlx_active_bytes",)] > 0
    assert others == []


def test_two_servers_in_a_process_have_figures_of_their_own(server: Served) -> None:
    from voxrun.serve.service import Service

    other = Service(server.service.settings)
    other.metrics.heard = 5
    assert b"voxrun_model_loaded 0.0" in other.metrics.text()
    assert b"voxrun_model_loaded 1.0" in server.service.metrics.text()


def test_the_health_tells_the_state(server: Served) -> None:
    answer = httpx.get(f"{server.url}/health")
    assert answer.json() == {"status": "ok", "model": "tiny", "loaded": True, "sessions": 0}
    server.service.ending = True
    try:
        answer = httpx.get(f"{server.url}/health")
        assert (answer.status_code, answer.json()["status"]) == (503, "ending")
        assert httpx.get(f"{server.url}/metrics").status_code == 200
        assert httpx.get(f"{server.url}/v1/models").status_code == 503
    finally:
        server.service.ending = False
