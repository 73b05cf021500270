"""A raw client of the server: bytes, HTTP answers and WebSocket frames as they are, right or wrong."""

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

PATIENCE = 120
"""Seconds after which a server that says nothing is counted as hanging."""
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GONE = (ConnectionError, asyncio.IncompleteReadError)
HANDSHAKE = {
    "Host": "localhost",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class ClosedError(Exception):
    """The server closed the connection; `code` is a WebSocket's, None without one."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


class Wire:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, data: bytes) -> None:
        """Send bytes; whether the server still wants them shows later."""
        with suppress(*GONE):
            self._writer.write(data)
            await asyncio.wait_for(self._writer.drain(), PATIENCE)

    def cut(self) -> None:
        """End the connection as if the client had died."""
        self._writer.transport.abort()

    async def answer(self) -> tuple[int, dict[str, str], bytes] | None:
        """Status, headers and body of an HTTP answer; None if the server closed without one."""
        try:
            head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), PATIENCE)
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])
            }
            if headers.get("transfer-encoding") == "chunked":
                body = b"".join([chunk async for chunk in self._chunks()])
            else:
                size = int(headers.get("content-length", 0))
                body = await asyncio.wait_for(self._reader.readexactly(size), PATIENCE)
        except GONE:
            return None
        return int(lines[0].split()[1]), headers, body

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await asyncio.wait_for(self._reader.readline(), PATIENCE), 16):
            yield await asyncio.wait_for(self._reader.readexactly(size), PATIENCE)
            await self._reader.readline()

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of a frame. Raises ClosedError."""
        try:
            first, second = await asyncio.wait_for(self._reader.readexactly(2), PATIENCE)
            size = second & 127
            if size >= 126:
                raw = await self._reader.readexactly(2 if size == 126 else 8)
                size = int.from_bytes(raw, "big")
            payload = await asyncio.wait_for(self._reader.readexactly(size), PATIENCE)
        except GONE:
            raise ClosedError(None) from None
        if first & 15 == CLOSE:
            raise ClosedError(int.from_bytes(payload[:2], "big") if payload else None)
        return first & 15, payload

    async def event(self) -> dict[str, Any]:
        """The next event. Raises ClosedError."""
        while (frame := await self.frame())[0] != TEXT:
            pass
        return json.loads(frame[1])


def framed(
    payload: bytes | str,
    opcode: int | None = None,
    *,
    first: int = 0x80,
    mask: bool = True,
    size: int | None = None,
) -> bytes:
    """A frame; `first`: the bits beside the opcode, `size`: what is claimed of the payload's."""
    data = payload.encode() if isinstance(payload, str) else payload
    kind = (TEXT if isinstance(payload, str) else BINARY) if opcode is None else opcode
    n, masked = len(data) if size is None else size, 0x80 if mask else 0
    if n < 126:
        head = bytes([first | kind, masked | n])
    elif n < 2**16:
        head = struct.pack(">BBH", first | kind, masked | 126, n)
    else:
        head = struct.pack(">BBQ", first | kind, masked | 127, n)
    return head + bytes(4 * mask) + data  # a mask of zeros


def request(method: str, path: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    """The bytes of an HTTP request."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    """A connection, which is cut at the end."""
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), PATIENCE)
    wire = Wire(reader, writer)
    try:
        yield wire
    finally:
        wire.cut()
        with suppress(*GONE):
            await writer.wait_closed()


async def upgraded(wire: Wire, path: str, headers: dict[str, str]) -> int:
    """The status of a WebSocket handshake."""
    await wire.send(request("GET", path, {**HANDSHAKE, **headers}))
    answer = await wire.answer()
    return 0 if answer is None else answer[0]
