"""Small files, written whole or not at all; large ones copied durably; stamps that tell of a change."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxrun.files import strict
from voxrun.files.paths import StrictError

from .errors import FormatError

STATE_BYTES = 64 * 2**20
"""Of a JSON file: what is heard in a large corpus takes some MB."""


def write_json(path: Path, value: Any) -> None:
    """Write sorted JSON; the file is the old one or the whole new one, never half of it."""
    write_text(path, to_json(value))


def to_json(value: Any) -> str:
    """The same as text."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """The same for text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: it takes the file's place if all goes well, and is gone if not."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # two processes may write the same file
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage wrote, or that came from elsewhere. Raises OSError, FormatError."""
    try:
        return strict.load(path, STATE_BYTES)
    except StrictError as error:
        raise FormatError(f"{path}: {error}") from error


def read_state(path: Path) -> Any:
    """Read what a stage wrote for others; None if it is not there, or a crash of the machine spoiled it."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def stamp(path: Path) -> list[int]:
    """What changes when a file does, for the price of a stat: size, time of change, inode."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


BLOCK = 2**20


def copy_and_hash(source: Path, target: Path, progress: Callable[[int], None]) -> str:
    """Copy a file in one read, on the disk when this returns; return its sha256.

    `progress` is told of bytes done.
    """
    digest = hashlib.sha256()
    with source.open("rb") as read, target.open("xb") as written:
        while block := read.read(BLOCK):
            digest.update(block)
            written.write(block)
            progress(len(block))
        written.flush()
        os.fsync(written.fileno())
    return digest.hexdigest()


def write_durably(path: Path, text: str) -> None:
    """Write a small file: it is the old one or the whole new one, whenever the power goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in a folder on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
