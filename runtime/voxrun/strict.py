"""Strict JSON, and files of a bounded size: what a model's folder holds is read without trust.

What comes from elsewhere may be made to harm: what it claims must cost neither memory nor time, and no two
readers may understand it differently. JSON is RFC 8259's, and where that leaves a choice, the narrow one:
no name twice in an object, no NaN or Infinity, no half of a surrogate pair.
"""

import json
import math
import os
import re
import stat
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from .messages import shown

MAX_BYTES = 8 * 2**20
"""Of a JSON file, unless its reader says otherwise; those that there are have some 100 kB at most."""
MAX_DEPTH = 32
"""Objects and arrays inside each other; ours are five deep."""
MAX_MARKS = 2_000_000
"""Brackets, braces and commas of a file: they, not its size, decide how much memory its values take."""
MAX_DIGITS = 400
"""Of a whole number; floating ones have some 330 at most."""

_STEPS = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))
"""Levels down (255 is -1 in 8 bits) at each mark."""
_ALL_BUT_MARKS = bytes(set(range(256)) - set(b'"[]{},'))
_PAIR = re.compile(rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class StrictError(ValueError):
    """A file that is not read; the message says why, not which."""


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A regular file's bytes. Raises StrictError if it is larger or something else, OSError."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size  # `read` takes the memory that it is told at once
        text = file.read(size + 1) if size <= limit else None
    if text is None or len(text) > size:
        raise StrictError(f"larger than {limit:,} bytes, which is no plausible size for it")
    return text


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open. Raises StrictError if it is something else, OSError.

    What is looked at is what is read, and a pipe with nobody at its other end is not waited for.
    """
    file = open(path, "rb", opener=_open)  # noqa: SIM115 - Path.open has no opener
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise StrictError("not a regular file")
    return file


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def load(path: Path, limit: int = MAX_BYTES) -> Any:
    """The value of a JSON file. Raises StrictError, OSError."""
    return parse(read_bytes(path, limit))


def parse(text: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises StrictError."""
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
    """Raises StrictError for what could exhaust memory or stack, before any value is made of it."""
    plain = text.replace(rb"\\", b"  ")
    if b"\\u" in plain and _SURROGATE.search(_PAIR.sub(b"", plain)):
        raise StrictError("a string holds half of a surrogate pair")
    marks = plain.replace(rb"\"", b"").translate(None, _ALL_BUT_MARKS).replace(b'""', b"")
    outside = b"".join(marks.split(b'"')[::2])  # of strings
    if len(outside) > MAX_MARKS:
        raise StrictError(f"more than {MAX_MARKS:,} values and brackets")
    import numpy as np  # here, for --help does not wait for it

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


def member(folder: Path, name: str) -> Path:
    """The path of a file in a model's folder, there or not. Raises StrictError if a link leads out of it.

    In the Hub's cache, and in a registry, files are links into the same repository's blobs.
    """
    path, root = folder / name, os.path.realpath(folder)
    real = os.path.realpath(path)
    if not _within(real, root) and not _within(real, _blobs(root)):
        raise StrictError("a link that leads out of the folder")
    return path


def is_file(path: Path) -> bool:
    """Whether a regular file is there; Path.is_file raises for a name that is too long for any."""
    return os.path.isfile(path)  # noqa: PTH113


def _within(path: str, root: str | None) -> bool:
    return root is not None and os.path.commonpath([path, root]) == root


def _blobs(root: str) -> str | None:
    """Of a snapshot in the Hub's cache, models--OWNER--NAME/snapshots/COMMIT: where its files lie."""
    snapshots, repository = Path(root).parent, Path(root).parent.parent
    if snapshots.name != "snapshots" or not repository.name.startswith("models--"):
        return None
    return str(repository / "blobs")
