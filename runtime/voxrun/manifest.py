"""manifest.json, which comes with an artifact: every file's size and sha256, read without trust."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .config import read_json
from .errors import ModelError

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
"""Signs all files of the artifact, the manifest included."""
SHA256 = re.compile("[0-9a-f]{64}")
MAX_NAME = 255
"""Bytes of a file's name, without its folders: no common file system takes more."""
HASH_BLOCK = 2**20
"""Bytes that are hashed at a time."""


@dataclass(frozen=True)
class Entry:
    """What is promised of a file."""

    size: int
    sha256: str


def read_entries(raw: Mapping[str, Any], origin: str) -> dict[str, Entry]:
    """A manifest's `files`: path -> what is promised of it. Raises ModelError if it is no manifest of ours.

    No path leads out of the folder, and the manifest does not list itself or its signature.
    """
    files = raw.get("files")
    if not isinstance(files, dict) or not files:
        raise ModelError(f"{origin}: no manifest: it lists no files")
    entries = {}
    for name, entry in files.items():
        if not is_plain(name) or name in (MANIFEST, SIGNATURE):
            raise ModelError(f"{origin}: {name!r} is no name of an artifact's file")
        size, sha256 = (entry.get(key) if isinstance(entry, dict) else None for key in ("size", "sha256"))
        if type(size) is not int or size < 0 or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            raise ModelError(f"{origin}: {name} has no size and sha256")
        entries[name] = Entry(size, sha256)
    return entries


def read_manifest(folder: Path) -> dict[str, Entry]:
    """The same of an artifact's folder. Raises ModelError, or ConfigError if it cannot be read."""
    path = folder / MANIFEST
    return read_entries(read_json(path), str(path))


def is_plain(name: str) -> bool:
    """Whether a name leads to a file below a folder wherever that lies.

    It is relative, nothing climbs, and any disk takes it.
    """
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and name.isprintable() and not re.search(r"[\\:]", name)
    fits = all(len(part.encode("utf-8", "replace")) <= MAX_NAME for part in parts)
    return plain and fits and bool(parts) and parts[0] != "/" and ".." not in parts


def digest_of(folder: Path) -> str:
    """The manifest's own sha256: it stands for all that the artifact is."""
    return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()


def sha256_of(path: Path, progress: Callable[[int], object] = lambda done: None) -> str:
    """Hash of a file, read in blocks; `progress` is told of bytes done."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()
