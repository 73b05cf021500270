"""Folders that are written atomically, by one process at a time."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from voxrun.files.hashes import sha256_of

from .errors import ConvertError
from .files import TORN_FILES, read_state, stamp, to_json, write_durably, write_json

Mark = dict[str, Any]
"""How far a source was read and hashed, as JSON: see `tensors.source_files.Passes.mark`."""


@dataclass(frozen=True)
class Begun:
    """The first tensors of a shard, on the disk in its unfinished file."""

    shard: str
    tensors: int
    length: int
    """Bytes of the file up to the end of these tensors."""
    sha256: str
    """Of these bytes."""
    facts: dict[str, Any]
    mark: Mark
    """Where the source had been read when these tensors had."""


class Journal:
    """The finished shards of a folder, in a file beside it; a shard is reused only if its hash matches.

    Also how far the shard is written that was begun last. It is valid for one `identity`: a digest of
    everything that determines the bytes.
    """

    _proven: ClassVar[dict[Path, tuple[list[int], str]]] = {}
    """Shards that this process wrote, hashing them: their stamp and hash."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self._path = journal_of(folder)
        self._identity = identity
        stored = read_state(self._path)
        matches = isinstance(stored, dict) and stored.get("identity") == identity
        self._shards: dict[str, str] = dict(stored["shards"]) if matches else {}
        self._facts: dict[str, dict[str, Any]] = dict(stored.get("facts", {})) if matches else {}
        self._steps: dict[str, dict[str, str]] = dict(stored.get("steps", {})) if matches else {}
        self._marks: dict[str, Mark] = dict(stored.get("marks", {})) if matches else {}
        self.begun = Begun(**stored["begun"]) if matches and stored.get("begun") else None

    def __bool__(self) -> bool:
        """Whether there is anything to go on with."""
        return bool(self._shards or self._steps or self.begun)

    @property
    def walk(self) -> Path:
        """A folder beside it for what steps leave for the next one."""
        return self.folder.with_name(f"{self.folder.name}.walk")

    def whole(self, name: str) -> str | None:
        """The sha256 of a shard that is finished and unchanged; None if it must be written."""
        path, known = self.folder / name, self._shards.get(name)
        if known is None or not path.is_file():
            return None
        if self._proven.get(path) == (stamp(path), known):
            return known
        return known if sha256_of(path) == known else None

    def add(
        self, name: str, sha256: str, facts: dict[str, Any] | None = None, mark: Mark | None = None
    ) -> None:
        """Record a finished shard, what is to be said of how it was made, and where the source was read."""
        self._shards[name], self._facts[name], self._marks[name] = sha256, facts or {}, mark or {}
        self._proven[self.folder / name] = stamp(self.folder / name), sha256
        self.begun = None
        write_json(self._path, self._state)

    def mark_of(self, name: str) -> Mark:
        """Where the source had been read when a shard was finished."""
        return self._marks.get(name, {})

    def unfinished(self, name: str) -> Path:
        """The file in which a shard is written."""
        return self.folder / f"{name}.unfinished"

    def begin(self, begun: Begun) -> None:
        """Record durably how far a shard is written; what was recorded of another one is forgotten."""
        self.begun = begun
        write_durably(self._path, to_json(self._state))

    def add_step(self, name: str, hashes: dict[str, str], facts: dict[str, Any]) -> None:
        """Record durably a step whose tensors are on the disk: their names and the sha256 of each."""
        self._steps[name], self._facts[name] = hashes, facts
        write_durably(self._path, to_json(self._state))

    @property
    def stored(self) -> dict[str, str]:
        """The tensors of all finished steps, and the sha256 of each."""
        return {tensor: sha256 for hashes in self._steps.values() for tensor, sha256 in hashes.items()}

    @property
    def facts(self) -> list[dict[str, Any]]:
        """What is to be said of finished shards and steps."""
        return [facts for name, facts in self._facts.items() if name in self._shards or name in self._steps]

    @property
    def _state(self) -> dict[str, Any]:
        state = {"identity": self._identity, "shards": self._shards, "facts": self._facts}
        begun = asdict(self.begun) if self.begun else None
        more = {"steps": self._steps, "marks": {k: v for k, v in self._marks.items() if v}, "begun": begun}
        return state | {name: value for name, value in more.items() if value}

    def forget(self) -> None:
        """Delete the record."""
        for record in (self._shards, self._facts, self._steps, self._marks):
            record.clear()
        self.begun = None
        shutil.rmtree(self.walk, ignore_errors=True)
        self._path.unlink(missing_ok=True)


def journal_of(folder: Path) -> Path:
    """The file of a folder's journal."""
    return folder.with_name(f"{folder.name}.journal.json")


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole_folder(final: Path, partial: Path, journal: Journal | None = None) -> Iterator[Path]:
    """The folder `partial`, which replaces `final` on success.

    On an error it is deleted, unless `journal` has something with which the next run continues.
    Raises ConvertError if the disk is full, or if another process is writing it.
    """
    with begun_folder(final, partial, journal):
        try:
            yield partial
            _replace(final, partial, _old(partial))
            if journal:
                journal.forget()
        finally:
            _remove(_old(partial))


@contextmanager
def begun_folder(final: Path, partial: Path, journal: Journal | None) -> Iterator[None]:
    """The folder `partial` is there to be written, by this process alone; it is deleted in the end, unless
    `journal` has something to continue with. `final` is left as it is.

    Raises ConvertError if the disk is full, or if another process is writing it.
    """
    with alone(partial):
        _clear_up(final, partial, _old(partial), journal)
        partial.mkdir(parents=True, exist_ok=True)
        try:
            yield
        except OSError as error:
            if error.errno in NO_ROOM:
                raise ConvertError(f"{final.parent}: the disk is full; make room and run it again") from error
            raise
        finally:
            _remove(*([] if journal else [partial]))


def _old(partial: Path) -> Path:
    """Where the previous folder is while it is replaced."""
    return partial.with_name(f"{partial.name}.old")


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """A lock for writing this folder. Raises ConvertError if another process holds it."""

    def taken() -> None:
        raise ConvertError(f"{folder.name}: another process is writing it; wait until it is finished")

    with locked(folder.parent.with_name(".locks") / f"{folder.name}.lock", taken):
        yield


@contextmanager
def locked(path: Path, taken: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file, which is never deleted; if its process is killed, the lock is released.

    `taken` is called if another process holds the lock: it may raise; if it returns, we wait.
    """
    from filelock import FileLock, Timeout  # takes as long to import as `doit list`

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        taken()
        held = lock.acquire()
    with held:
        yield


def _clear_up(final: Path, partial: Path, old: Path, journal: Journal | None) -> None:
    """Clean up after a killed run: delete partial files, and restore an artifact that was not replaced."""
    if old.exists() and not final.exists():
        old.rename(final)
    _remove(old, *([] if journal else [partial]))
    torn_journals = partial.parent.glob(f".{journal_of(partial).name}.*.partial")
    for torn in (*partial.glob(TORN_FILES), *torn_journals):
        torn.unlink()


def _replace(final: Path, new: Path, old: Path) -> None:
    """Rename `new` to `final`, keeping the previous one as `old` until that succeeds."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        final.rename(old)
    try:
        new.rename(final)
    except BaseException:  # Ctrl-C as well
        if old.exists() and not final.exists():
            old.rename(final)
        raise


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
