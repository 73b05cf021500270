"""What of an unfinished artifact is whole: so that a build which was stopped, in whatever way, goes on."""

from pathlib import Path
from typing import Any

from .workspace import read_json, sha256_of, write_json


class Journal:
    """The whole shards in a folder, written down after each; a shard is believed only by its hash.

    It lies beside the folder and holds for one identity: a digest of all that decides about the bytes.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self._path = folder.with_name(f"{folder.name}.journal.json")
        self._identity = identity
        self._shards: dict[str, str] = self._read()

    def __bool__(self) -> bool:
        """Whether anything is whole."""
        return bool(self._shards)

    def whole(self, name: str) -> str | None:
        """The sha256 of a shard that was finished and is still what it was; None: it must be made."""
        path, known = self.folder / name, self._shards.get(name)
        return known if known and path.is_file() and sha256_of(path) == known else None

    def add(self, name: str, sha256: str) -> None:
        """A shard is whole."""
        self._shards[name] = sha256
        write_json(self._path, {"identity": self._identity, "shards": self._shards})

    def forget(self) -> None:
        """Nothing is whole, or nothing of it is needed any more."""
        self._shards.clear()
        self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, str]:
        """Nothing if another build left it, or it cannot be read: then all is made anew."""
        try:
            stored: Any = read_json(self._path)
        except (OSError, ValueError):
            return {}
        known = isinstance(stored, dict) and stored.get("identity") == self._identity
        return dict(stored["shards"]) if known else {}
