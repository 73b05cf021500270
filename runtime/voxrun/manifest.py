"""manifest.json, which comes with an artifact: every file's size and sha256, read without trust."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .config import read_member
from .errors import ModelError
from .messages import shown
from .strict import StrictError, member, read_bytes

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
"""Signs all files of the artifact, the manifest included."""
TOOLS = {".gitattributes", ".git", ".cache", ".huggingface", ".DS_Store"}
"""What the Hub, its client, git and macOS put beside an artifact's files. Nothing of it is ever loaded."""
LONGEST_NAME, LONGEST_PART = 1000, 255
"""Bytes of a path, and of each name in it, that there can be on any disk."""
SHA256 = re.compile("[0-9a-f]{64}")
HASH_BLOCK = 2**20
"""Bytes that are hashed at a time."""


@dataclass(frozen=True)
class Entry:
    """What is promised of a file."""

    size: int
    sha256: str


def read_entries(raw: Mapping[str, Any], origin: str) -> dict[str, Entry]:
    """A manifest's `files`: path -> what is promised of it. Raises ModelError if it is no manifest of ours.

    No path leads out of the folder or into TOOLS, and the manifest lists neither itself nor its signature.
    """
    files = raw.get("files")
    if not isinstance(files, dict) or not files:
        raise ModelError(f"{origin}: no manifest: it lists no files")
    entries = {}
    for name, entry in files.items():
        if not is_plain(name) or is_tools(name) or name in (MANIFEST, SIGNATURE):
            raise ModelError(f"{origin}: {shown(name)} is no name of an artifact's file")
        size, sha256 = (entry.get(key) if isinstance(entry, dict) else None for key in ("size", "sha256"))
        if type(size) is not int or size < 0 or not isinstance(sha256, str) or not SHA256.fullmatch(sha256):
            raise ModelError(f"{origin}: {shown(name)} has no size and sha256")
        entries[name] = Entry(size, sha256)
    return entries


def read_manifest(folder: Path) -> dict[str, Entry]:
    """The same of an artifact's folder. Raises ModelError, or ConfigError if it cannot be read."""
    return read_entries(read_member(folder, MANIFEST), str(folder / MANIFEST))


def is_plain(name: str) -> bool:
    """Whether a name leads to a file below a folder wherever that lies.

    It is relative, nothing climbs, and any disk takes it.
    """
    if len(name) > LONGEST_NAME or not name.isprintable():
        return False
    parts = PurePosixPath(name).parts
    plain = "/".join(parts) == name and not re.search(r"[\\:]", name)
    short = len(name.encode()) <= LONGEST_NAME and all(len(part.encode()) <= LONGEST_PART for part in parts)
    return plain and short and bool(parts) and parts[0] != "/" and ".." not in parts


def is_tools(name: str) -> bool:
    """Whether a plain name lies in TOOLS, on a disk that minds no capitals too: it is never proven."""
    return name.partition("/")[0].casefold() in {tool.casefold() for tool in TOOLS}


def digest_of(folder: Path) -> str:
    """The manifest's own sha256: it stands for all that the artifact is. Raises ModelError, OSError."""
    try:
        return hashlib.sha256(read_bytes(member(folder, MANIFEST))).hexdigest()
    except StrictError as error:
        raise ModelError(f"{folder / MANIFEST}: {error}") from error


def sha256_of(path: Path, progress: Callable[[int], object] = lambda done: None) -> str:
    """Hash of a file, read in blocks; `progress` is told of bytes done."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(HASH_BLOCK):
            digest.update(block)
            progress(len(block))
    return digest.hexdigest()
