"""What one client can take of the server, and what it is told beyond."""

import asyncio
import base64
import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
import soundfile
from committed import CLIPS
from patience import PATIENCE, until
from served import PLAIN, Served, served
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from voxrun.serve.errors import RefusedError
from voxrun.serve.settings import Limits
from voxrun.serve.socket import Socket, json_object
from voxrun.transcriber import Transcriber

CLIP = CLIPS / "prompts" / "please-try-again.flac"
TIGHT = Limits(
    sessions=2,
    waiting_seconds=1.0,
    message_bytes=100_000,
    connections=8,
    stuck_seconds=0.3,
)


@pytest.fixture(scope="module")
def tight(transcriber: Transcriber) -> Iterator[Served]:
    with served(transcriber, replace(PLAIN, limits=TIGHT)) as running:
        yield running


@contextmanager
def client(server: Served) -> Iterator[ClientConnection]:
    with connect(f"{server.ws}/v1/realtime") as socket:
        assert hear(socket)["type"] == "session.created"
        yield socket


def hear(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(timeout=PATIENCE))


def say(socket: ClientConnection, type: str, **fields: Any) -> None:
    socket.send(json.dumps({"type": type, **fields}))


def begin(socket: ClientConnection) -> None:
    say(socket, "session.update", model="any")
    say(socket, "input_audio_buffer.commit")  # the session is open from now on


def transcript(server: Served) -> str:
    samples, _ = soundfile.read(CLIP, dtype="int16")
    with client(server) as socket:
        begin(socket)
        for start in range(0, len(samples), 8000):
            audio = base64.b64encode(samples[start : start + 8000].tobytes()).decode()
            say(socket, "input_audio_buffer.append", audio=audio)
        say(socket, "input_audio_buffer.commit", final=True)
        while (event := hear(socket))["type"] != "transcription.done":
            assert event["type"] == "transcription.delta"
        return str(event["text"])


def hurry(server: Served) -> None:
    """From the next message of a client on, wait for the one after it hardly at all."""
    for each in server.service._sockets:
        until(lambda each=each: each._patience)  # it waits for that message
        each._idle_seconds = 0.1


def test_a_client_that_sends_nothing_is_told_and_closed(transcriber: Transcriber, tight: Served) -> None:
    with served(transcriber, replace(PLAIN, limits=Limits(idle_seconds=0.1))) as server:
        with client(server) as socket:
            is_told(socket)
        until(lambda: not server.service._sockets)
    for first in ("session.update", "input_audio_buffer.append"):
        with client(tight) as socket:
            hurry(tight)
            say(socket, first, model="any", audio="AAA=")
            is_told(socket)
        until(lambda: not tight.service._sockets)


def is_told(socket: ClientConnection) -> None:
    event = hear(socket)
    assert event["code"] == "idle"
    assert "no message came for 0.1 s" in event["error"]
    with pytest.raises(ConnectionClosed):
        socket.recv(timeout=PATIENCE)
    assert socket.close_code == 1008


@pytest.mark.parametrize(
    ("path", "append", "done", "error"),
    [
        ("/v1/realtime", "input_audio_buffer.append", "transcription.done", "idle"),
        ("/v1/audio/transcriptions/realtime", "input_audio.append", "transcription.done", 408),
    ],
)
def test_a_client_that_has_gone_quiet_is_told_its_last_words_first(
    transcriber: Transcriber, path: str, append: str, done: str, error: Any
) -> None:
    samples, _ = soundfile.read(CLIP, dtype="int16")
    with served(transcriber) as server, connect(server.ws + path) as socket:
        hear(socket)
        if path == "/v1/realtime":
            begin(socket)
            until(lambda: server.service.sessions == 1)
        hurry(server)
        say(socket, append, audio=base64.b64encode(samples.tobytes()).decode())
        events: list[dict[str, Any]] = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                events.append(hear(socket))
        assert socket.close_code == 1008
        assert [event["text"] for event in events if event["type"] == done] == [
            transcriber.transcribe(CLIP).text
        ]
        assert error in (events[-1].get("code"), events[-1]["error"]["code"] if error == 408 else None)
        assert b'voxrun_refused_total{kind="idle"} 1.0' in server.service.metrics.text()


def test_a_client_that_goes_while_its_audio_waits_frees_its_place(
    tight: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, slow = type(tight.transcriber.model), threading.Event()
    encode_all = model.encode_all

    def encode_slowly(*args: Any) -> Any:
        slow.wait(PATIENCE)
        return encode_all(*args)

    monkeypatch.setattr(model, "encode_all", encode_slowly)
    try:
        with client(tight) as socket:
            begin(socket)
            say(socket, "input_audio_buffer.append", audio=base64.b64encode(bytes(64000)).decode())
            until(lambda: tight.service.sessions == 1)
            until(lambda: sum(live.waiting for live in tight.service._live) > TIGHT.waiting_seconds)
        until(lambda: not tight.service._sockets and tight.service.sessions == 0)
        assert not slow.is_set()
    finally:
        slow.set()


def test_what_goes_wrong_in_sending_ends_the_conversation() -> None:
    async def run() -> None:
        socket = Socket(Silent())  # type: ignore[arg-type]

        async def talk() -> None:
            await socket.send("event", field=object())  # which JSON has not
            await socket.drain()

        with pytest.raises(TypeError):
            await asyncio.wait_for(socket.attend(talk()), PATIENCE)

    asyncio.run(run())


def test_the_server_may_end_at_the_moment_when_a_client_becomes_idle() -> None:
    async def run() -> None:
        socket = Socket(Silent(), idle_seconds=0.01)  # type: ignore[arg-type]
        socket.busy = lambda: True

        async def end() -> None:
            async with asyncio.timeout(0) as socket._patience:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(PATIENCE)
                socket.end()

        with contextlib.suppress(TimeoutError):
            await end()
        assert [message async for message in socket.messages()] == []

    asyncio.run(run())


def test_a_long_message_of_many_parts_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    loads = json.loads
    monkeypatch.setattr(
        json, "loads", lambda text: parsed.append(threading.current_thread().name) or loads(text)
    )
    with pytest.raises(RefusedError, match="so many fields"):
        asyncio.run(json_object('{"a": [' + "[]," * 200_000 + "0]}"))
    assert not parsed
    assert asyncio.run(json_object('{"a": "' + "A" * 600_000 + '"}')) == {"a": "A" * 600_000}
    assert parsed[0] != threading.current_thread().name
    with pytest.raises(RefusedError, match="Invalid JSON"):
        asyncio.run(json_object(b"\xff" * 600_000))


def test_a_client_that_waits_for_the_model_is_not_idle(transcriber: Transcriber) -> None:
    async def run() -> None:
        busy = [True, True, False]
        socket = Socket(Silent(), idle_seconds=0.01)  # type: ignore[arg-type]
        socket.busy = lambda: busy.pop(0)
        with pytest.raises(RefusedError, match="no message"):
            async for _ in socket.messages():
                raise AssertionError
        assert busy == []

    asyncio.run(run())


class Silent:
    """A WebSocket whose client sends nothing."""

    async def receive(self) -> None:
        await asyncio.Event().wait()

    async def send_text(self, text: str) -> None:
        pass


def test_one_session_too_many_is_refused_and_may_try_again(tight: Served) -> None:
    with ExitStack() as others:
        for _ in range(TIGHT.sessions):
            begin(others.enter_context(client(tight)))
        until(lambda: tight.service.sessions == TIGHT.sessions)
        with client(tight) as late:
            begin(late)
            refused = hear(late)
            assert refused["code"] == "overloaded"
            assert "all 2 sessions are taken" in refused["error"]
            others.close()
            until(lambda: tight.service.sessions == 0)
            say(late, "input_audio_buffer.commit")
            until(lambda: tight.service.sessions == 1)
            say(late, "input_audio_buffer.commit", final=True)
            assert hear(late)["type"] == "transcription.done"
    until(lambda: tight.service.sessions == 0)
    assert transcript(tight) == tight.transcriber.transcribe(CLIP).text


def test_a_message_that_is_too_large_is_refused_as_it_comes(tight: Served) -> None:
    with client(tight) as socket:
        socket.send("x" * (TIGHT.message_bytes + 1))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=PATIENCE)
        assert socket.close_code == 1009


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET /health HT",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\n",
    ],
)
def test_a_request_that_never_comes_is_not_waited_for(transcriber: Transcriber, begun: bytes) -> None:
    with (
        served(transcriber, replace(PLAIN, limits=Limits(head_seconds=0.3))) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as raw,
        contextlib.suppress(ConnectionError),
    ):
        raw.sendall(begun)
        while raw.recv(9999):
            pass


def test_one_connection_too_many_is_told_so(tight: Served) -> None:
    with ExitStack() as stack:
        for _ in range(TIGHT.connections):
            stack.enter_context(socket.create_connection(("127.0.0.1", tight.port)))
        refused = httpx.get(f"{tight.url}/health")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    until(lambda: httpx.get(f"{tight.url}/health").status_code == 200)


def test_a_client_that_reads_nothing_is_cut_and_nobody_else_waits(tight: Served) -> None:
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", tight.port))
        raw.sendall(HANDSHAKE)
        until(lambda: bool(tight.service._sockets))
        raw.settimeout(0.05)
        with pytest.raises(ConnectionError):
            sent = 0
            while True:
                try:
                    sent += raw.send(UNKNOWN_FRAMES[sent % len(UNKNOWN_FRAMES) :])
                except TimeoutError:  # the server does not read either
                    assert transcript(tight) == tight.transcriber.transcribe(CLIP).text
    until(lambda: not tight.service._sockets)


HANDSHAKE = (
    b"GET /v1/realtime HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
UNKNOWN = b'{"type": "%s"}' % (b"x" * 900)
UNKNOWN_FRAMES = (b"\x81\xfe" + len(UNKNOWN).to_bytes(2, "big") + bytes(4) + UNKNOWN) * 50
"""Each is answered by an error that quotes it."""
