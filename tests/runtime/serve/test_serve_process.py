"""`voxrun serve` as a process: what it says, and how it ends."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import soundfile
import soxr
from committed import CHECKPOINT, CLIPS, ROOT
from patience import PATIENCE, until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from voxrun.serve import address

pytestmark = pytest.mark.slow

CLIP = CLIPS / "prompts" / "please-try-again.flac"
SERVE = [sys.executable, "-m", "voxrun", "serve", "--model", str(CHECKPOINT), "--port", "0"]
READY = re.compile(r"voxrun: serving \S+ at http://(\S+):(\d+)\nvoxrun: open it .*\n")
BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
Start = Callable[..., "Process"]


class Process:
    """A server of its own."""

    def __init__(self, *options: str, command: list[str] = SERVE, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self.said = ""

    def ready(self) -> "Process":
        """Wait for the line that tells the address."""
        assert self.process.stderr is not None
        while not (ready := READY.search(self.said)):
            line = self.process.stderr.readline()
            assert line, self.said
            self.said += line
        self.host, self.port = ready[1], int(ready[2])
        return self

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        """Its exit code, what it wrote to stdout, and what it said after it was ready."""
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@pytest.fixture
def start() -> Iterator[Start]:
    started: list[Process] = []

    def start(*options: str, **how: Any) -> Process:
        started.append(Process(*options, **how))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


def health(server: Process) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{server.port}/health")


def metrics(server: Process) -> str:
    return httpx.get(f"http://127.0.0.1:{server.port}/metrics").text


PATH, STREAM = "/v1/realtime", "/v1/audio/transcriptions/realtime"
APPEND = {"type": "input_audio_buffer.append"}
PROTOCOLS: list[tuple[str, list[dict[str, Any]], dict[str, Any], str, str]] = [
    # address, what a client says first, how it sends audio, the last event, and its field with the text
    (
        PATH,
        [{"type": "session.update", "model": "any"}, {"type": "input_audio_buffer.commit"}],
        *(APPEND, "transcription.done", "text"),
    ),
    (
        f"{PATH}?intent=transcription",
        [{"type": "session.update", "session": {"type": "transcription", "audio": {"input": {}}}}],
        *(APPEND, "conversation.item.input_audio_transcription.completed", "transcript"),
    ),
    (
        f"{PATH}?intent=transcription",  # in turns
        [
            {
                "type": "session.update",
                "session": {
                    "type": "transcription",
                    "audio": {"input": {"turn_detection": {"type": "server_vad"}}},
                },
            }
        ],
        *(APPEND, "conversation.item.input_audio_transcription.completed", "transcript"),
    ),
    (f"{PATH}?dialect=voxmlx", [], APPEND, "response.audio_transcript.done", "text"),
    (STREAM, [], {"type": "input_audio.append"}, "transcription.done", "text"),
    (STREAM, [{"model": "any", "streaming": True}], {}, "complete", "text"),
]


@BOTH
def test_a_signal_lets_open_sessions_of_all_protocols_finish(start: Start, number: int) -> None:
    server = start().ready()
    assert health(server).json() == {"status": "ok", "model": str(CHECKPOINT), "loaded": True, "sessions": 0}
    with ExitStack() as stack:
        clients = [stack.enter_context(said(server, *protocol[:3])) for protocol in PROTOCOLS]
        silent = stack.enter_context(connect(f"ws://127.0.0.1:{server.port}{PATH}"))
        most = len(PROTOCOLS) * 0.9 * soundfile.info(CLIP).duration
        until(lambda: seconds_heard(server) > most)
        server.signal(number)
        for (path, *_, last, field), client in zip(PROTOCOLS, clients, strict=True):
            events = [json.loads(message) for message in client]  # until it is closed
            assert client.close_code == 1001, path
            final = [event for event in events if event.get("type") == last]
            assert [event[field] for event in final] == ["please try again"], events
        assert [json.loads(message)["type"] for message in silent] == ["session.created"]
        assert silent.close_code == 1001
    assert server.end() == (0, "", "")


@contextmanager
def said(
    server: Process, path: str, first: list[dict[str, Any]], append: dict[str, Any]
) -> Iterator[ClientConnection]:
    """A client that has sent a clip, and no end."""
    rate = 24000 if "intent" in path else 16000
    samples = soxr.resample(soundfile.read(CLIP, dtype="int16")[0], 16000, rate)
    with connect(f"ws://127.0.0.1:{server.port}{path}") as client:
        for event in first:
            client.send(json.dumps(event))
        if append:
            audio = base64.b64encode(samples.tobytes()).decode()
            client.send(json.dumps({**append, "audio": audio}))
        else:
            client.send(samples.tobytes())
        yield client


def seconds_heard(server: Process) -> float:
    figure = re.search(r"^voxrun_audio_seconds_total (\S+)$", metrics(server), re.MULTILINE)
    assert figure
    return float(figure[1])


def test_a_session_that_outlasts_the_grace_is_cut_and_the_exit_code_tells(start: Start) -> None:
    server = start("--grace", "0").ready()
    with said(server, *PROTOCOLS[0][:3]):
        until(lambda: seconds_heard(server) > 0)
        server.signal(signal.SIGTERM)
        code, out, _ = server.end()
    assert (code, out) == (143, "")


def test_an_upload_in_progress_is_waited_for_and_answered(start: Start) -> None:
    server = start().ready()
    recording = CLIP.read_bytes()
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.flac"\r\n\r\n'
    form = head.encode() + recording + b"\r\n--x--\r\n"
    request = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(form)}\r\n"
        "Expect: 100-continue\r\n\r\n"
    ).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client:
        client.sendall(request)
        assert client.recv(9999).startswith(b"HTTP/1.1 100 ")  # it is accepted
        client.sendall(form[:5000])
        server.signal(signal.SIGTERM)
        until(lambda: health(server).status_code == 503)
        client.sendall(form[5000:])
        answer = b"".join(iter(lambda: client.recv(9999), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b'"text":"please try again"' in answer
    assert server.end() == (0, "", "")


def test_while_it_ends_it_takes_no_more_and_a_second_signal_ends_it_at_once(
    start: Start, tmp_path: Path
) -> None:
    server = start("--grace", "600", command=[sys.executable, "-c", ENDLESS, *SERVE[3:]]).ready()
    with said(server, *PROTOCOLS[0][:3]):
        until(lambda: seconds_heard(server) > 0)
        server.signal(signal.SIGTERM)
        until(lambda: health(server).status_code == 503)
        assert health(server).json()["status"] == "ending"
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{server.port}/v1/realtime"):
            pass
        assert refused.value.response.status_code == 503
        time.sleep(0.4)  # sooner, it would be a repetition of the first
        server.signal(signal.SIGINT)
        assert server.end() == (130, "", "")


ENDLESS = """
import sys, threading
from voxrun.cli.main import command
from voxrun.serve.protocols.vllm import Vllm

Vllm.finish = lambda self, tag=None: None  # a session that never finishes
sys.argv[0] = "voxrun"
command()
"""
LOADING = """
import sys, threading
from voxrun.cli.main import command
from voxrun.transcriber import Transcriber

def load(folder, tokenizer):
    print("voxrun: loading", file=sys.stderr, flush=True)
    threading.Event().wait()

Transcriber.load = load
command()
"""


@BOTH
def test_a_signal_while_the_model_loads_ends_it_at_once(start: Start, number: int) -> None:
    server = start(command=[sys.executable, "-c", LOADING, *SERVE[3:]])
    assert server.process.stderr is not None
    assert server.process.stderr.readline() == "voxrun: loading\n"
    server.signal(number)
    assert server.end() == (128 + number, "", "")


def test_a_port_that_is_taken_is_one_line_and_no_model_is_loaded(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*SERVE[:4], "--model", "owner/none", "--port", str(port)]
        code, out, err = start(command=command).end()
    assert (code, out) == (2, "")
    assert err == (
        f"voxrun: cannot listen at http://127.0.0.1:{port}: another program listens there;"
        " choose another --port, or 0 for a free one\n"
    )


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--host", "no.such.host.invalid"], "voxrun: --host no.such.host.invalid: is not found"),
        (["--host", "a" * 300], "voxrun: --host aaa"),
        (["--host", "192.0.2.1"], "this machine does not have the address"),
        (["--delay-ms", "85"], "voxrun: "),
        (["--api-key-file", "/no/such/file"], "voxrun: --api-key-file '/no/such/file': cannot be read"),
        (["--model", "/no/such/folder"], "voxrun: /no/such/folder: "),
    ],
)
def test_what_cannot_be_served_is_one_line(start: Start, options: list[str], complaint: str) -> None:
    code, out, err = start(*options).end()
    assert (code, out) == (2, "")
    assert complaint in err
    assert re.fullmatch(r"voxrun: .*\n", err)


def test_an_open_server_says_who_can_reach_it(start: Start) -> None:
    server = start("--host", "0.0.0.0").ready()
    assert server.said.startswith(
        f"voxrun: warning: everybody whose machine reaches port {server.port} can use"
    )
    assert server.host == address.outward()  # which others can type
    assert f"or give apps http://{server.host}:{server.port}/v1\n" in server.said
    server.signal(signal.SIGTERM)
    assert server.end() == (0, "", "")
    keyed = start("--host", "0.0.0.0", VOXRUN_API_KEY="hidden-key").ready()
    assert "clients need a key" in keyed.said
    assert "hidden-key" not in keyed.said
    assert httpx.get(f"http://127.0.0.1:{keyed.port}/metrics").status_code == 401


def test_without_the_extra_it_says_what_to_install(start: Start) -> None:
    modules = "sys.modules['uvicorn'] = sys.modules['python_multipart'] = None"
    script = f"import sys; {modules}; from voxrun.cli.main import command; command()"
    code, out, err = start(command=[sys.executable, "-c", script, *SERVE[3:]]).end()
    assert (code, out) == (2, "")
    command = f"pip install -e '{ROOT / 'runtime'}[server]'"
    assert err == f"voxrun serve: needs python-multipart, uvicorn: {command}\n"
