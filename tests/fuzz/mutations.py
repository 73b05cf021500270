"""Changes to a file that keep most of its structure, so that later checks are reached too."""

import base64
import copy
import json
import random
import struct
from typing import Any

MARKS = b'"\\{}[],:-0 \n\xff\x00&*<'
NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 16, 32, 64, 255, 1000, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30),
    *(0.0, -0.0, 0.5, 1e-320, 1e300, -1e9),
)
NAMES = (
    *(
        "",
        "a",
        "\0",
        "..",
        "../a",
        "/a",
        "a/b",
        "a\\b",
        "a:b",
        "\n",
        "\x1b[2J",
        "\u202e",
        "x" * 300,
        "9" * 30,
    ),
    *("NaN", "model.safetensors", "a.safetensors", "U8", "F32", "BF16", "F64", "affine", "mxfp4"),
    *("AA==", "A", "=", "****", "0" * 64),
)
ODD: tuple[Any, ...] = (None, True, False, [], {}, [[]], [{}], {"": {}}, {"a": 1}, *NUMBERS, *NAMES)
YAML = (
    *(
        b"&a [*a]",
        b"*a",
        b"!!int x",
        b"!!binary x",
        b"2020-13-45",
        b"<<: *a",
        b"~",
        b"|\n x",
        b"1:59:59",
        b"0x1F",
    ),
    *(b"!!python/name:os.system", b".nan", b"{a: &b {c: 1}, <<: *b}"),
)


def mutated(name: str, data: bytes, chance: random.Random) -> bytes:
    """A changed input of a parser: of JSON some values, keys or, rarely, bytes; of YAML lines; else bytes."""
    try:
        if name in ("header", "adapter"):
            return _header(data, chance)
        if name == "signature" and chance.random() < 0.5:
            return _payload(data, chance)
        if name != "recipe":
            return _json(data, chance)
    except (ValueError, OverflowError, RecursionError, struct.error):
        pass  # no JSON, or what cannot be written as such
    return _lines(data, chance) if chance.random() < 0.6 else flipped(data, chance)


def flipped(data: bytes, chance: random.Random) -> bytes:
    """Some bytes changed, inserted, cut or repeated."""
    content = bytearray(data or b"\0")
    for _ in range(chance.choice((1, 1, 2, 4))):
        at = chance.randrange(len(content) + 1)
        what = chance.randrange(4)
        if what == 0 and at < len(content):
            content[at] = chance.randrange(256)
        elif what == 1:
            content[at:at] = bytes([chance.choice(MARKS)]) * chance.choice((1, 1, 2, 40))
        elif what == 2:
            del content[at : at + chance.choice((1, 2, 8, 100))]
        else:
            end = min(len(content), at + chance.choice((1, 4, 30)))
            content[at:at] = content[at:end]
    return bytes(content)


def _odd(chance: random.Random) -> Any:
    return copy.deepcopy(chance.choice(ODD))


def _json(data: bytes, chance: random.Random) -> bytes:
    value = json.loads(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        value = _changed(value, chance)
    text = json.dumps(value, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    return flipped(text, chance) if chance.random() < 0.2 else text


def _changed(root: Any, chance: random.Random) -> Any:
    places = list(_places(root))
    if not places:
        return _odd(chance)
    place, key = chance.choice(places)
    what = chance.randrange(5)
    if what == 0:
        del place[key]
    elif what == 1:
        other, from_key = chance.choice(places)
        place[key] = copy.deepcopy(other[from_key])
    elif what == 2 and isinstance(place, dict):
        place[str(_odd(chance))[:400]] = place.pop(key)
    elif what == 3 and isinstance(place[key], int | float):
        place[key] = place[key] * chance.choice((-1, 2, 0.5, 1000)) + chance.choice((-1, 0, 1))
    else:
        place[key] = _odd(chance)
    return root


def _places(value: Any) -> Any:
    """(container, key) of everything that can be changed; of long lists the first."""
    if isinstance(value, dict | list):
        for key in list(value)[:50] if isinstance(value, dict) else range(min(len(value), 20)):
            yield value, key
            yield from _places(value[key])


def _header(data: bytes, chance: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    if chance.random() < 0.1:
        return flipped(data, chance)
    text = _json(data[8 : 8 + length], chance)
    body = data[8 + length :]
    if chance.random() < 0.5:
        try:
            ends = [e["data_offsets"][1] for n, e in json.loads(text).items() if n != "__metadata__"]
            body = bytes(min(10_000, max(ends, default=0)))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            pass
    return struct.pack("<Q", len(text)) + text + body


def _payload(data: bytes, chance: random.Random) -> bytes:
    """A bundle with another statement in its envelope."""
    bundle = json.loads(data)
    try:
        envelope = bundle["dsseEnvelope"]
        envelope["payload"] = base64.b64encode(_json(base64.b64decode(envelope["payload"]), chance)).decode()
    except (TypeError, KeyError, AttributeError):
        return _json(data, chance)
    return json.dumps(bundle).encode("utf-8", "surrogatepass")


def _lines(data: bytes, chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    at = chance.randrange(len(lines))
    key, colon, _ = lines[at].partition(b":")
    what = chance.randrange(5)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(chance.randrange(len(lines)), lines[at])
    elif what == 2:
        lines[at] = b"  " + lines[at]
    else:
        odd = json.dumps(_odd(chance)).encode()
        lines[at] = key + colon + b" " + chance.choice((odd, *YAML))
    return b"\n".join(lines)
