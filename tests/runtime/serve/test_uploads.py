"""Uploads that are too large, slow, damaged or cut off: the right error, nothing is left, others go on."""

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from tempfile import SpooledTemporaryFile
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from committed import CLIPS
from patience import PATIENCE, until
from served import PLAIN, Served, served
from starlette import formparsers

from voxrun.serve.http import upload
from voxrun.serve.settings import Limits
from voxrun.transcriber import Transcriber

CLIP = CLIPS / "prompts" / "please-try-again.flac"
PATH = "/v1/audio/transcriptions"
LARGEST = 2**21


@pytest.fixture(scope="module")
def small(transcriber: Transcriber) -> Iterator[Served]:
    """A server that takes small uploads only, and two at the same time."""
    limits = Limits(upload_bytes=LARGEST, sessions=2)
    with served(transcriber, replace(PLAIN, limits=limits)) as running:
        yield running


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All files that uploads were kept in."""
    made: list[Any] = []

    class Kept(SpooledTemporaryFile[bytes]):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(formparsers, "SpooledTemporaryFile", Kept)
    return made


def post(server: Served, **fields: Any) -> httpx.Response:
    return httpx.post(server.url + PATH, timeout=PATIENCE, **fields)


def is_well(server: Served) -> bool:
    """Whether another client is heard, and nothing of the last is left."""
    until(lambda: not server.service.sessions)
    text = post(server, files={"file": CLIP.read_bytes()}).json()["text"]
    return text == server.transcriber.transcribe(CLIP).text


def head(length: int | None = None, boundary: str = "b") -> bytes:
    """The beginning of a request with a form."""
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    kind = f"Content-Type: multipart/form-data; boundary={boundary}"
    return f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{kind}\r\n{size}\r\n\r\n".encode()


def part(data: bytes = b"", name: str = 'name="file"; filename="a.wav"') -> bytes:
    """The beginning of a form with a recording."""
    return f"--b\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + data


def answered(server: Served, *sent: bytes) -> tuple[int, dict[str, Any]]:
    """The status and the error of a request that is sent byte for byte."""
    with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as client:
        for data in sent:
            client.sendall(data)
        response = client.recv(1 << 16)
        while b"}}" not in response and (more := client.recv(1 << 16)):
            response += more
    first, _, body = response.partition(b"\r\n\r\n")
    return int(first.split()[1]), json.loads(body)["error"]


def test_what_is_said_to_be_too_large_is_refused_before_it_comes(small: Served, files: list[Any]) -> None:
    status, error = answered(small, head(LARGEST + 1))
    assert (status, error["code"], error["param"]) == (413, "too_large", "file")
    assert not files


def test_what_becomes_too_large_is_refused_when_it_does(small: Served, files: list[Any]) -> None:
    chunks = (part(bytes(2**20)) if i == 0 else bytes(2**20) for i in range(8))
    response = post(small, content=chunks, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")
    assert [file.closed for file in files] == [True]
    assert is_well(small)


@pytest.mark.parametrize("begins", [b"", part(b"RIFF")])
def test_who_sends_nothing_more_is_not_waited_for(
    small: Served, files: list[Any], monkeypatch: pytest.MonkeyPatch, begins: bytes
) -> None:
    monkeypatch.setattr(upload, "PATIENCE", 0.1)
    status, error = answered(small, head(1000) + begins)
    assert (status, error["code"], error["type"]) == (408, "idle", "timeout_error")
    assert all(file.closed for file in files)


def test_who_uploads_slowly_takes_no_place_of_others(small: Served, files: list[Any]) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", small.port)))
            client.sendall(head(1000) + part(b"RIFF"))
        until(lambda: len(files) == 2)  # both have begun
        response = post(small, files={"file": CLIP.read_bytes()})
        assert (response.status_code, response.json()["error"]["code"]) == (503, "overloaded")
        assert response.headers["retry-after"]
        assert small.service.sessions == 0
    assert is_well(small)


@pytest.mark.parametrize(
    ("body", "about"),
    [
        (part(CLIP.read_bytes()), "breaks off"),
        (part(CLIP.read_bytes())[:-1] + b"\r\n--b", "breaks off"),
        (b"--b\r\n\r\nx\r\n--b--\r\n", "name"),
        (b"what is this?", "form"),
        (b"", "breaks off"),
        (b"--b--\r\n", "no recording"),
        (b"".join(part(name=f'name="n{i}"') + b"\r\n" for i in range(60)) + b"--b--", "fields"),
        (part(bytes(2**19), 'name="prompt"') + b"\r\n--b--", "size"),
        (part(name='name="file"; filename="a"') + b"\r\n" + part() + b"\r\n--b--", "files"),
    ],
)
def test_a_form_that_cannot_be_read_is_an_error(
    small: Served, files: list[Any], body: bytes, about: str
) -> None:
    status, error = answered(small, head(len(body)), body)
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert about in error["message"]
    assert all(file.closed for file in files)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/json", "multipart/form-data", "multipart/mixed"]
)
def test_another_kind_of_body_is_an_error(small: Served, kind: str) -> None:
    response = post(small, content=b"{}", headers={"Content-Type": kind})
    assert response.status_code == (400 if kind == "multipart/form-data" else 415)


def long_recording() -> bytes:
    samples, rate = soundfile.read(CLIP)
    file = io.BytesIO()
    soundfile.write(file, np.tile(samples, 1500), rate, format="WAV")
    return file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["true", "false"])
def test_a_client_that_goes_frees_its_place_and_its_file(
    server: Served, files: list[Any], stream: str
) -> None:
    """The recording lasts half an hour: the model would not be done with it when the test is."""
    recording = long_recording()

    async def leave() -> None:
        async with httpx.AsyncClient() as client:
            form = {"files": {"file": recording}, "data": {"stream": stream}}
            asking = asyncio.create_task(client.post(server.url + PATH, timeout=PATIENCE, **form))
            while not server.service.sessions:
                await asyncio.sleep(0.02)
            asking.cancel()
            await asyncio.wait([asking])

    asyncio.run(leave())
    assert is_well(server)
    assert all(file.closed for file in files)


def test_others_do_not_notice_a_client_that_breaks_off_nor_one_that_sends_garbage(
    server: Served, files: list[Any]
) -> None:
    clips = sorted((CLIPS / "digits").glob("*.flac"))[:2]

    async def broken() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head(2**21) + part(bytes(2**20)))
        await writer.drain()
        writer.transport.abort()

    async def all_at_once() -> tuple[list[str], int]:
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE) as client:
            forms = [{"file": clip.read_bytes()} for clip in clips] + [{"file": bytes(range(256)) * 4096}]
            asked = [client.post(PATH, files=form) for form in forms]
            *good, bad, _ = await asyncio.gather(*asked, broken())
            return [response.json()["text"] for response in good], bad.status_code

    texts, status = asyncio.run(all_at_once())
    assert texts == [server.transcriber.transcribe(clip).text for clip in clips]
    assert status == 400
    assert is_well(server)
    assert len(files) == 5
    assert all(file.closed for file in files)
