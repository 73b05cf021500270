"""sha256 of files."""

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

SHA256 = re.compile("[0-9a-f]{64}")
HASH_BLOCK = 2**20
"""Bytes hashed at a time."""


def sha256_of(path: Path, progress: Callable[[int], object] = lambda done: None) -> str:
    """The sha256 of a file, read in blocks; `progress` is called with the bytes of each. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()
