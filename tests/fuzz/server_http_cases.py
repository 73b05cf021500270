"""What a hostile client does over HTTP, and what must come of it."""

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack

from server_cases import Case
from server_talk import BEARER, DIALECTS, KEY, Talk, talking
from server_wire import ClosedError, connected, request, upgraded

HOST = {"Host": "localhost"}
POST = "/v1/audio/transcriptions"
PATHS = (POST, "/inference", "/v1/models", "/metrics", *(dialect.path for dialect in DIALECTS))
BOUNDARY = "cut-here"
FORM = {**HOST, **BEARER, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
IDLE = 1000
"""Sockets at the same time."""


async def answered(port: int, data: bytes, *, statuses: Sequence[int], may_close: bool = False) -> str:
    """The answer has one of these statuses, and if it is an error, OpenAI's form."""
    async with connected(port) as wire:
        await wire.send(data)
        answer = await wire.answer()
        if answer is None:
            assert may_close, "the server closed without an answer"
            return "closed"
        status, headers, body = answer
        assert status in statuses, f"status {status}: {body[:200]!r}"
        if headers.get("content-type") == "application/json" and status >= 400:
            error = json.loads(body)["error"]
            assert {"message", "type", "param", "code"} <= error.keys(), error
            assert KEY not in error["message"]
        return str(status)


async def odd_paths(port: int, chance: random.Random) -> str:
    """Ways out of the endpoints' folder."""
    parts = (
        "..",
        ".",
        "%2e%2e",
        "%2f",
        "%00",
        "%ff",
        "//",
        "\\",
        "%5c",
        "etc/passwd",
        "x" * 3000,
        ";a=b",
        "?",
    )
    path = "/" + "/".join(chance.choices(("v1", "page", "audio", *parts), k=chance.randint(1, 6)))
    return await answered(
        port,
        request(chance.choice(("GET", "POST")), path, {**HOST, **BEARER}),
        statuses=(200, 307, 400, 404, 405),
    )


async def odd_requests(port: int, chance: random.Random) -> str:
    """Request lines and headers that are wrong, too long, or meant for somebody else."""
    get, long = request("GET", "/metrics", {**HOST, **BEARER}), "x" * chance.choice((17_000, 70_000, 300_000))
    odd: Sequence[bytes] = (
        b"\r\n\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(500),  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /metrics\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"get /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET  /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /m\xc3\xa9trics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\n\r\n",  # no host
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nA: b\x00c\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nA : b\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n b: folded\r\n\r\n",
        b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        request("GET", f"/{long}", {**HOST, **BEARER}),
        request("GET", "/metrics", {**HOST, **BEARER, "A": long}),
        request("GET", "http://evil.example/metrics", {**HOST, **BEARER}),
        request("GET", f"http://localhost:{port}/metrics", {**HOST, **BEARER}),
        request("OPTIONS", "*", {**HOST, **BEARER}),
        get.replace(b"\r\n", b"\n"),
        chance.randbytes(chance.randint(20_000, 40_000)),
    )
    statuses = (200, 400, 401, 403, 404, 405, 414, 431, 505)
    return await answered(port, chance.choice(odd), statuses=statuses, may_close=True)


async def odd_lengths(port: int, chance: random.Random) -> str:
    """Bodies whose length is told twice, wrongly, or in a way that proxies read otherwise."""
    odd: Sequence[tuple[str, bytes]] = (
        ("Content-Length: 3\r\nContent-Length: 4", b"abcd"),
        ("Content-Length: 3, 4", b"abcd"),
        ("Content-Length: -1", b""),
        ("Content-Length: +3", b"abc"),
        ("Content-Length: 0x3", b"abc"),
        ("Content-Length: " + "9" * 40, b"abc"),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", b"0\r\n\r\n"),
        ("Transfer-Encoding: chunked, gzip", b"0\r\n\r\n"),
        ("Transfer-Encoding: xchunked", b"0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"zz\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"-1\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"fffffffffffffffffffff\r\nabc"),
        ("Transfer-Encoding: chunked", b"3;" + b"x" * 50_000 + b"\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked", b"3\r\nabcdef\r\n0\r\n\r\n"),
        ("Transfer-Encoding: \x0bchunked", b"0\r\n\r\n"),
    )
    lines, body = chance.choice(odd)
    head = f"POST {POST} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n{lines}\r\n\r\n"
    statuses = (400, 408, 411, 413, 415, 501)
    return await answered(port, head.encode("latin-1") + body, statuses=statuses, may_close=True)


def part(name: str, value: bytes, extra: str = "") -> bytes:
    """A field of a form."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'
    return head.encode("utf-8", "surrogateescape") + value + b"\r\n"


async def bad_uploads(port: int, chance: random.Random) -> str:
    """Forms and recordings that are none."""
    file = part("file", chance.randbytes(chance.randint(0, 5000)), '; filename="a.wav"')
    end = f"--{BOUNDARY}--\r\n".encode()
    model = part("model", b"any")
    forms: Sequence[bytes] = (
        b"",
        end,
        b"no form at all",
        model + end,
        file + model + end,
        file + model,
        part("file", b"text") + model + end,
        part("file", b"RIFF\xff\xff\xff\xffWAVEfmt ", '; filename="a.wav"') + model + end,
        part("file", b"fLaC" + chance.randbytes(300), '; filename="../../etc/passwd"') + model + end,
        file + part("response_format", b"pdf") + model + end,
        file + part("temperature", b"hot") + model + end,
        file + part("timestamp_granularities[]", b"year") + model + end,
        file + part("model", b"\xff\xfe") + end,
        file + part("x" * 9000, b"1") + end,
        model * 3000 + end,
        file * 3 + end,
        b"--" + BOUNDARY.encode() + b"\r\n" + b"A: b\r\n" * 5000 + b"\r\n",
    )
    body = chance.choice(forms)
    headers = {**FORM, "Content-Length": str(len(body))}
    if chance.random() < 0.2:
        types = (
            "multipart/form-data",
            "application/json",
            "multipart/form-data; boundary=",
            "a" * 200,
            "text/plain",
        )
        headers["Content-Type"] = chance.choice(types)
    path = chance.choice((POST, "/inference"))
    return await answered(port, request("POST", path, headers, body), statuses=(400, 413, 415, 422))


async def large_uploads(port: int, chance: random.Random) -> str:
    """More than is taken, told at once or not at all."""
    size = 3 * 2**20
    head = part("file", b"", '; filename="a.wav"')[:-2]
    if chance.random() < 0.5:
        data = request("POST", POST, {**FORM, "Content-Length": str(size)}, head + bytes(size - len(head)))
    else:
        chunk = b"%x\r\n" % 65_536 + bytes(65_536) + b"\r\n"
        first = b"%x\r\n" % len(head) + head + b"\r\n"
        data = request(
            "POST", POST, {**FORM, "Transfer-Encoding": "chunked"}, first + chunk * (size // 65_536)
        )
    return await answered(port, data, statuses=(413,), may_close=True)


async def half_uploads(port: int, chance: random.Random) -> str:
    """A client that goes before all has come, or before it is answered."""
    async with connected(port) as wire:
        body = part("file", chance.randbytes(100_000), '; filename="a.mp3"')
        data = request("POST", POST, {**FORM, "Content-Length": str(len(body) + 100)}, body)
        await wire.send(data[: chance.randint(1, len(data))])
        await asyncio.sleep(chance.random() * 0.1)
        return "gone"


async def wrong_key(port: int, chance: random.Random) -> str:
    """No key, or one that is almost right."""
    wrong = (
        KEY[:-1],
        KEY + "x",
        KEY.upper(),
        "",
        KEY[::-1],
        "\u00e9" * 8,
        "x" * 10_000,
        f"{KEY}, {KEY}",
        "\x7f",
    )
    key, path = chance.choice(wrong), chance.choice(PATHS)
    ways: Sequence[dict[str, str]] = (
        {},
        {"Authorization": f"Bearer {key}"},
        {"Authorization": KEY},
        {"Authorization": f"Basic {KEY}"},
        {"X-Api-Key": KEY},
        {"Cookie": f"api_key={KEY}"},
        {"Sec-WebSocket-Protocol": f"realtime, openai-insecure-api-key.{key.replace(',', '')}"},
    )
    async with connected(port) as wire:
        headers = chance.choice(ways)
        if "realtime" in path:
            status = await upgraded(wire, path, headers)
        else:
            await wire.send(request("GET", path, {**HOST, **headers}))
            answer = await wire.answer()
            status = 0 if answer is None else answer[0]
        odd = any(len(value) > 8000 or not value.isascii() or "\x7f" in value for value in headers.values())
        odd = odd or "key fuzz" in str(headers)  # two words are no name of a subprotocol
        assert status in ((400, 401) if odd else (401,)), f"{headers} were answered by {status}"
        return str(status)


async def wrong_origin(port: int, chance: random.Random) -> str:
    """A page of another site, and a name that leads here by DNS rebinding."""
    evil = (
        "http://evil.example",
        "null",
        "https://localhost.evil.example",
        "file://",
        "",
        "http://localhost@evil.example",
    )
    headers = {**BEARER, "Origin": chance.choice(evil)}
    if chance.random() < 0.3:
        host = chance.choice(
            ("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example")
        )
        headers |= {"Host": host, "Origin": f"http://{host}"}
    async with connected(port) as wire:
        path = chance.choice(PATHS)
        if "realtime" in path:
            status = await upgraded(wire, path, headers)
        else:
            await wire.send(request("POST", path, {**HOST, **headers, "Content-Length": "0"}))
            answer = await wire.answer()
            status = 0 if answer is None else answer[0]
        assert status == 403, f"{headers} were answered by {status}"
        return str(status)


async def idle_sockets(port: int) -> str:
    """Very many WebSockets that never say anything: each is told so and closed."""

    async def idle(stack: AsyncExitStack) -> Talk:
        return await stack.enter_async_context(talking(port, DIALECTS[0], begin=False))

    async with AsyncExitStack() as stack:
        talks = [await idle(stack) for _ in range(IDLE)]
        for talk in talks:
            await talk.error()
            try:
                await talk.wire.frame()
            except ClosedError as closed:
                assert closed.code == 1008, closed
    return f"{IDLE} told, and closed with 1008"


HTTP_CASES: dict[str, Case] = {
    "paths out of the folder": odd_paths,
    "odd requests and headers": odd_requests,
    "odd lengths of bodies": odd_lengths,
    "uploads that are none": bad_uploads,
    "uploads that are too large": large_uploads,
    "half uploads": half_uploads,
    "a wrong key": wrong_key,
    "a wrong origin or host": wrong_origin,
}
