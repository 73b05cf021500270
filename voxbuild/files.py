"""Files: small ones written atomically, large ones copied durably, and stamps that change with a file."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxrun.files import strict
from voxrun.files.paths import StrictError

from .errors import FormatError

STATE_BYTES = 64 * 2**20
"""Limit of a JSON file; the transcripts of a large corpus take a few MB."""


def write_json(path: Path, value: Any) -> None:
    """Write sorted JSON atomically: the path holds the old file or the complete new one."""
    write_text(path, to_json(value))


def to_json(value: Any) -> str:
    """Sorted, indented JSON. Raises ValueError for numbers that are not finite, which JSON does not have."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


TORN = re.compile(r"(.*/)?\.[^/]+\.\d+\.partial")
"""The path of a file that a killed process left unfinished, see `written_whole`; never read."""
TORN_FILES = ".*.partial"
"""The same as a glob pattern for what is deleted: older versions wrote no process number."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`: renamed to it on success, deleted on an error."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # two processes may write the same file
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a JSON file, which may be untrusted. Raises OSError, FormatError."""
    try:
        return strict.load(path, STATE_BYTES)
    except StrictError as error:
        raise FormatError(f"{path}: {error}") from error


def read_state(path: Path) -> Any:
    """Read a stage's JSON file; None if it is missing, or damaged by a crash of the machine."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def stamp(path: Path) -> list[int]:
    """Size, modification time and inode of a file: they change when the file does."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def copy_and_hash(source: Path, target: Path, progress: Callable[[int], None]) -> str:
    """Copy a file durably, reading it once; return its sha256. `progress` gets the bytes of each block."""
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as written:
        while block := read.read(2**20):
            digest.update(block)
            written.write(block)
            progress(len(block))
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def write_durably(path: Path, text: str) -> None:
    """Write a small file atomically, even if the power fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
