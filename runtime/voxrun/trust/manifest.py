"""manifest.json of an artifact, which is untrusted: the size and sha256 of every file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrun.errors import ModelError
from voxrun.files.hashes import SHA256
from voxrun.files.objects import read_member
from voxrun.files.paths import StrictError, is_plain, is_tools, member, read_bytes
from voxrun.messages import sentence, shown

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
"""Signs all files of the artifact, including the manifest."""


@dataclass(frozen=True)
class Entry:
    """The size in bytes and the sha256 of a file."""

    size: int
    sha256: str


def read_entries(raw: Mapping[str, Any], origin: str) -> dict[str, Entry]:
    """A manifest's `files` by path. Raises ModelError if it is not a valid manifest.

    No path may lead out of the folder or into TOOLS; the manifest may list neither itself nor the signature.
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
    """The entries of a folder's manifest.json. Raises ModelError, or ConfigError if it cannot be read."""
    return read_entries(read_member(folder, MANIFEST), str(folder / MANIFEST))


def differences(
    claimed: Mapping[str, str], actual: Mapping[str, str], unclaimed: str, absent: str, changed: str
) -> list[str]:
    """Where a document's name -> sha256 differs from the actual ones: each name with the phrase that fits."""

    def phrase(name: str) -> str:
        if name not in claimed:
            return unclaimed
        return changed if name in actual else absent

    names = sorted(name for name in claimed.keys() | actual.keys() if claimed.get(name) != actual.get(name))
    return [f"{sentence(name)} {phrase(name)}" for name in names]


def digest_of(folder: Path) -> str:
    """The manifest's own sha256, which identifies the whole artifact. Raises ModelError, OSError."""
    try:
        return hashlib.sha256(read_bytes(member(folder, MANIFEST))).hexdigest()
    except StrictError as error:
        raise ModelError(f"{folder / MANIFEST}: {error}") from error
