"""Files that survive a power cut: on the disk before anything points at them."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from .workspace import written_whole

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
