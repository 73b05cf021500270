"""Strict JSON for untrusted files: bounded in memory and time, and understood alike by all readers.

The grammar is RFC 8259's; where it leaves a choice, the strict one is taken: no name twice in an object, no
NaN or Infinity, no half of a surrogate pair.
"""

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

from voxrun.messages import shown

from .downloads import failed_download
from .paths import MAX_BYTES, StrictError, read_bytes

MAX_DEPTH = 32
"""Nested objects and arrays; ours are five deep."""
MAX_MARKS = 2_000_000
"""Brackets, braces and commas in a file: their number decides how much memory its values take."""
MAX_DIGITS = 400
"""Digits of an integer; a float has about 330 at most."""

_STEPS = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))
"""Levels down (255 is -1 in 8 bits) at each mark."""
_ALL_BUT_MARKS = bytes(set(range(256)) - set(b'"[]{},'))
_PAIR = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def load(path: Path, limit: int = MAX_BYTES) -> Any:
    """The value of a JSON file. Raises StrictError, OSError."""
    return parse(read_bytes(path, limit))


def parse(text: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises StrictError."""
    if failure := failed_download(text):
        raise StrictError(failure)
    try:
        decoded = text.decode("utf-8")
        _check_structure(text)
        return json.loads(
            decoded,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except StrictError:
        raise
    except UnicodeDecodeError as error:
        raise StrictError(f"not UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise StrictError(str(error)) from error


def _check_structure(text: bytes) -> None:
    """Raises StrictError for a text that could exhaust memory or stack, before it is parsed."""
    plain = text.replace(rb"\\", b"  ")
    if b"\\u" in plain and _SURROGATE.search(_PAIR.sub(b"", plain)):
        raise StrictError("a string holds half of a surrogate pair")
    marks = plain.replace(rb"\"", b"").translate(None, _ALL_BUT_MARKS).replace(b'""', b"")
    outside = b"".join(marks.split(b'"')[::2])  # of strings
    if len(outside) > MAX_MARKS:
        raise StrictError(f"more than {MAX_MARKS:,} values and brackets")
    import numpy as np  # not at the top: --help does not wait for it

    steps = np.frombuffer(outside.translate(_STEPS), np.int8)
    if len(steps) and np.cumsum(steps, dtype=np.int32).max() > MAX_DEPTH:
        raise StrictError(f"nested deeper than {MAX_DEPTH} levels")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
    raise StrictError(f"the key {shown(twice)} is there twice in one object")


def _constant(name: str) -> NoReturn:
    raise StrictError(f"{name} is no JSON number")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise StrictError(f"the number {shown(digits)} is too large")
    return value


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise StrictError(f"a number of {len(digits):,} digits")
    return int(digits)
