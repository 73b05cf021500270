"""What a hostile client does over a WebSocket, and what must come of it."""

import asyncio
import base64
import json
import random
from collections.abc import Awaitable, Callable, Sequence

from server_talk import BEARER, BUFFER, DIALECTS, Dialect, Talk, talking
from server_wire import CLOSE, PING, TEXT, ClosedError, connected, framed, upgraded

Case = Callable[[int, random.Random], Awaitable[str]]
"""Port and chance -> how it ended. Raises AssertionError, or TimeoutError if the server hangs."""
NOT_JSON = ("{", "", "nul", "[1,", '{"type": "x"', "\x00", "{'type': 'x'}", "}", '"\\ud800', "[" * 100_000)
NO_EVENT = (
    "null",
    "1",
    "[]",
    '"text"',
    "{}",
    '{"type": 1}',
    '{"type": null}',
    '{"type": ["a"]}',
    "NaN",
    "1e999",
)
ODD = (
    None,
    True,
    -1,
    0,
    1e308,
    10**400,
    "",
    "x" * 5000,
    [],
    {},
    [[]],
    {"a": {"b": []}},
    "\ud800",
    "\x00",
    "480",
)
MOST_MESSAGE = 36 * 2**20
ERRORS = {1002, 1003, 1007, 1008, 1009}
"""Codes of a WebSocket that is closed for what its client did."""


async def told(talk: Talk, message: str | bytes) -> str:
    """A message that is refused, after which the socket works."""
    await talk.say(message)
    await talk.error()
    await talk.alive()
    return "error told, socket open"


async def bad_json(port: int, chance: random.Random) -> str:
    """What is no JSON, or no event."""
    async with talking(port, chance.choice(DIALECTS), begin=chance.random() < 0.5) as talk:
        message = chance.choice(NOT_JSON + NO_EVENT)
        if not talk.dialect.append and message in ("{}", '{"type": 1}', '{"type": null}', '{"type": ["a"]}'):
            message = "{"  # a configuration of mlx-audio's need not have anything
        if chance.random() < 0.2:
            message = json.dumps({"type": chance.choice(("", "x" * 3000, "a.b", "\x07"))})
            message = message if talk.dialect.append else "["
        return await told(talk, message)


async def odd_values(port: int, chance: random.Random) -> str:
    """Right events with fields of any kind: they are taken or refused, and the socket works."""
    async with talking(port, chance.choice(DIALECTS), begin=chance.random() < 0.5) as talk:
        dialect = talk.dialect
        known = [*dialect.first, *dialect.others, dialect.end, {"type": dialect.append, "audio": "AAAA"}]
        for _ in range(chance.randint(1, 4)):
            event = json.loads(json.dumps(chance.choice(known)))
            path = event
            while (
                path
                and chance.random() < 0.7
                and isinstance(inner := chance.choice(list(path.values())), dict)
            ):
                path = inner
            name = chance.choice(
                [*path, "model", "temperature", "target_streaming_delay_ms", "session", "audio"]
            )
            if name != "action":
                path[name] = chance.choice(ODD)
            await talk.say(json.dumps(event))
        return await lives(talk)


async def wrong_order(port: int, chance: random.Random) -> str:
    """Right events in any order."""
    async with talking(port, chance.choice(DIALECTS), begin=False) as talk:
        dialect = talk.dialect
        known = [*dialect.first, *dialect.others, dialect.end, dialect.audio(bytes(3200)), dialect.audio(b"")]
        await talk.say(*chance.choices(known, k=chance.randint(1, 12)))
        return await lives(talk)


async def lives(talk: Talk) -> str:
    """Whether the socket works, or was closed as the protocol has it."""
    try:
        await talk.alive()
    except ClosedError as closed:
        assert closed.code in {1000, *ERRORS}, closed
        return f"closed with {closed.code}"
    return "socket open"


async def bad_audio(port: int, chance: random.Random) -> str:
    """Audio that is none."""
    async with talking(port, chance.choice([d for d in DIALECTS if d.append])) as talk:
        bad = (
            "?",
            "AAA",
            "A",
            "AA==\x00",
            "=AAA",
            "-_-_",
            "AAAAA",
            5,
            None,
            [1],
            {"a": 1},
            True,
            "\u00e9" * 4,
        )
        kind = chance.choice((*bad, "AAAA"))  # the last are three bytes, not whole samples
        return await told(talk, json.dumps({"type": talk.dialect.append, "audio": kind}))


async def odd_binary(port: int, chance: random.Random) -> str:
    """Binary audio that is not whole samples."""
    async with talking(port, DIALECTS[-1]) as talk:
        return await told(talk, chance.randbytes(2 * chance.randint(0, 3000) + 1))


async def huge_audio(port: int, chance: random.Random) -> str:
    """Minutes at once, of noise or silence; the client goes before they are heard."""
    async with talking(port, chance.choice(DIALECTS)) as talk:
        n = chance.choice((100_000, 200_000, 1_000_000))
        await talk.say(talk.dialect.audio(chance.randbytes(n) if chance.random() < 0.5 else bytes(n)))
        await asyncio.sleep(chance.random() * 0.2)
        return "gone while it was heard"


async def too_much_audio(port: int, chance: random.Random) -> str:
    """More audio in a message than a protocol takes."""
    async with talking(port, DIALECTS[3]) as talk:
        return await told(talk, talk.dialect.audio(bytes(262_146 + 2 * chance.randint(0, 1000))))


async def empty_audio(port: int, chance: random.Random) -> str:
    """No audio, or less than a position, and the end."""
    async with talking(port, chance.choice(DIALECTS)) as talk:
        for _ in range(chance.randint(0, 3)):
            await talk.say(talk.dialect.audio(bytes(2 * chance.choice((0, 1, 200)))))
        await talk.say(talk.dialect.end)
        return await lives(talk)


async def wrong_kind(port: int, chance: random.Random) -> str:
    """Binary where text belongs, or the reverse."""
    async with talking(port, chance.choice(DIALECTS)) as talk:
        if talk.dialect.append:
            data = chance.choice((chance.randbytes(chance.randint(1, 4000)), b"\xff\xfe{}", b"\x80"))
            return await told(talk, data)
        return await told(talk, base64.b64encode(bytes(99)).decode())


async def not_utf8(port: int, chance: random.Random) -> str:
    """A text frame that is not UTF-8."""
    async with talking(port, chance.choice(DIALECTS)) as talk:
        await talk.wire.send(framed(b'{"type": "\xff\xc0"}', TEXT))
        return await closed(talk)


async def closed(talk: Talk) -> str:
    """The socket is closed with a code that tells a fault of the client, or at once."""
    try:
        while True:
            await talk.wire.frame()
    except ClosedError as end:
        assert end.code in {None, *ERRORS}, end
        return f"closed with {end.code or 'no code'}"


async def bad_frames(port: int, chance: random.Random) -> str:
    """Frames that the WebSocket protocol forbids."""
    event = json.dumps({"type": f"{BUFFER}.clear"})
    frames: Sequence[bytes] = (
        framed(event, mask=False),
        framed(event, first=0xC0),  # reserved bits
        framed(event, 3),  # reserved opcodes
        framed(event, 11),
        framed(event, 0),  # a continuation of nothing
        framed(event, first=0) + framed(event),  # a message in another
        framed(bytes(200), PING),  # control frames are short
        framed(bytes(9), PING, first=0),  # and whole
        framed(b"\x03", CLOSE),
        framed((999).to_bytes(2, "big"), CLOSE),
        framed(b"\x03\xe8\xff\xff", CLOSE),
        framed(b"", size=2**63),
        framed(b"", size=MOST_MESSAGE + 1),
        framed(bytes(10), first=0) + framed(b"", 0, size=MOST_MESSAGE),  # too long in all
    )
    async with talking(port, chance.choice(DIALECTS)) as talk:
        await talk.wire.send(chance.choice(frames))
        return await closed(talk)


async def half_frames(port: int, chance: random.Random) -> str:
    """A message, or a handshake, that ends in the middle, and a client that goes."""
    async with talking(port, chance.choice(DIALECTS)) as talk:
        message = talk.dialect.audio(bytes(chance.randint(0, 5000) * 2))
        frame = framed(message)
        if chance.random() < 0.5:
            frame = framed(message, first=0)  # and the rest never comes
        await talk.wire.send(frame[: chance.randint(1, len(frame))])
        await asyncio.sleep(chance.random() * 0.05)
        return "gone"


async def pings(port: int, chance: random.Random) -> str:
    """Many pings between the events."""
    async with talking(port, chance.choice(DIALECTS)) as talk:
        for _ in range(chance.randint(1, 200)):
            await talk.wire.send(framed(chance.randbytes(chance.randint(0, 125)), PING))
        await talk.alive()
        return "socket open"


async def cut(port: int, chance: random.Random) -> str:
    """A client that dies in the middle of its audio, or while its text is sent."""
    async with talking(port, chance.choice(DIALECTS)) as talk:
        for _ in range(chance.randint(1, 10)):
            await talk.say(talk.dialect.audio(chance.randbytes(3200)))
        if chance.random() < 0.5:
            await talk.say(talk.dialect.end)
        await asyncio.sleep(chance.random() * 0.2)
        return "gone"


async def flood(port: int, chance: random.Random) -> str:
    """Messages as fast as they go, of which every one is refused, and the answers unread."""
    async with talking(port, chance.choice(DIALECTS)) as talk:
        size = chance.choice((1, 300, 3000))
        frame = framed("{" * size) * 50
        for _ in range(chance.randint(1, 40)):
            await talk.wire.send(frame)
        return "gone, its answers unread"


async def two_dialects(port: int, chance: random.Random) -> str:
    """Events of one protocol at the address of another."""
    dialect, other = chance.sample(DIALECTS, 2)
    async with talking(port, dialect, begin=chance.random() < 0.5) as talk:
        await talk.say(*other.first, other.audio(bytes(3200)), other.end)
        heard = Talk(talk.wire, Dialect(**{**vars(dialect), "error": lambda event: bool(event)}))
        return await lives(heard)


async def bad_handshake(port: int, chance: random.Random) -> str:
    """A handshake that is none."""
    wrong = chance.choice(
        (
            {"Sec-WebSocket-Version": "8"},
            {"Sec-WebSocket-Version": ""},
            {"Sec-WebSocket-Key": "short"},
            {"Sec-WebSocket-Key": ""},
            {"Upgrade": "h2c"},
            {"Connection": "close"},
            {"Sec-WebSocket-Extensions": "\x01"},
            {"X-Long": "x" * chance.choice((9000, 20_000, 100_000))},
            {f"X-{n}": "x" for n in range(300)},
        )
    )
    async with connected(port) as wire:
        path = chance.choice(DIALECTS).path
        status = await upgraded(wire, path, {**BEARER, **wrong})
        assert status != 500, f"{wrong} was answered by {status}"
        return f"{status or 'closed'}"


WEBSOCKET_CASES: dict[str, Case] = {
    "no JSON, or no event": bad_json,
    "fields of another kind": odd_values,
    "events in any order": wrong_order,
    "bad base64": bad_audio,
    "half a sample": odd_binary,
    "minutes of audio at once": huge_audio,
    "too much audio in a message": too_much_audio,
    "no audio": empty_audio,
    "binary where text belongs, and the reverse": wrong_kind,
    "text that is not UTF-8": not_utf8,
    "frames that are forbidden": bad_frames,
    "half frames": half_frames,
    "pings": pings,
    "a client that dies": cut,
    "a client that reads nothing": flood,
    "another protocol's events": two_dialects,
    "no WebSocket handshake": bad_handshake,
}
