"""sha256 of files."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

SHA256 = re.compile("[0-9a-f]{64}")
HASH_BLOCK = 2**20
"""Bytes that are hashed at a time."""


def sha256_of(path: Path, progress: Callable[[int], object] = lambda done: None) -> str:
    """Hash of a file, read in blocks; `progress` is told of bytes done."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()
