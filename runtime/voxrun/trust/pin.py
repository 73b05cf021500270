"""voxrun.lock: pins the one artifact that may be loaded, by name, commit and manifest."""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from voxrun.errors import ModelError, TrustError
from voxrun.files.hashes import SHA256
from voxrun.files.objects import check_keys, read_object
from voxrun.files.paths import StrictError, read_bytes, reason
from voxrun.messages import shown

from .locate import PREFIX, without_prefix
from .manifest import digest_of
from .registry import COMMIT

FORMAT = 1
CACHED = "models--"
"""Prefix of a repository's folder, in the Hub's cache and in a registry."""


@dataclass(frozen=True)
class Pin:
    """What identifies an artifact."""

    model: str
    """owner/name of a repository, after `registry:` if it is in one; or the name of a folder."""
    revision: str | None
    """The commit; None for a plain folder."""
    manifest: str
    """The sha256 of manifest.json, which has the hashes of all files."""

    @classmethod
    def of(cls, folder: Path, in_registry: bool = False) -> "Pin":
        """The pin of a folder; in the Hub's cache and in a registry, its path gives repository and commit.

        Raises ModelError if it has no manifest.
        """
        try:
            digest = digest_of(folder)
        except OSError as error:
            raise ModelError(f"{folder}: no manifest.json, so that there is nothing to pin") from error
        real = folder.resolve()
        repo = real.parent.parent.name
        if real.parent.name == "snapshots" and repo.startswith(CACHED) and COMMIT.fullmatch(real.name):
            name = repo.removeprefix(CACHED).replace("--", "/")
            return cls(PREFIX + name if in_registry else name, real.name, digest)
        return cls(real.name, None, digest)

    @classmethod
    def read(cls, path: Path) -> "Pin":
        """Read a voxrun.lock. Raises TrustError."""
        try:
            raw = read_object(read_bytes(path), str(path))
        except (OSError, StrictError) as error:
            raise TrustError(f"{path}: the lock cannot be read ({reason(error)})") from error
        check_keys(raw, {"format", "model", "revision", "manifest"}, str(path))
        if type(raw["format"]) is not int or raw["format"] != FORMAT:
            raise TrustError(f"{path}: a lock of format {shown(raw['format'])}, where {FORMAT} is known")
        pin = cls(raw["model"], raw["revision"], raw["manifest"])
        if wrong := pin._wrong():
            raise TrustError(f"{path}: {wrong} cannot be; write the lock again with --write-lock")
        return pin

    def _wrong(self) -> str | None:
        """The first field with an invalid value, for a message."""
        patterns = {"model": re.compile(".+"), "revision": COMMIT, "manifest": SHA256}
        for name, value in asdict(self).items():
            right = isinstance(value, str) and patterns[name].fullmatch(value)
            if not right and (name, value) != ("revision", None):
                return f"{name} {shown(value)}"
        return None

    @property
    def text(self) -> str:
        """The content of a voxrun.lock."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=2, sort_keys=True) + "\n"

    def hold(self, folder: Path, lock: str) -> None:
        """Raises TrustError, with the differences, unless the folder is the one that is pinned."""
        found = asdict(Pin.of(folder))
        wanted = asdict(self) | {"model": without_prefix(self.model)}
        differences = [
            f"{name} {found[name] or 'none'} instead of {pinned or 'none'}"
            for name, pinned in wanted.items()
            if found[name] != pinned
        ]
        if differences:
            raise TrustError(
                f"{folder}: not what {lock} pins: {', '.join(differences)}; if this one is wanted,"
                " write the lock again with --write-lock"
            )
