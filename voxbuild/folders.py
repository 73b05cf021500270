"""Folders that appear whole or not at all, made by one process at a time."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from voxrun.files.hashes import sha256_of

from .errors import ConvertError
from .files import read_json, write_json


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


NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole_folder(final: Path, partial: Path, journal: Journal | None = None) -> Iterator[Path]:
    """The folder `partial`, which takes the place of `final` when all went well.

    When not, it is gone, unless `journal` says that something in it is whole: then the next run goes on with
    it. Raises ConvertError if the disk is full, or another process is making it.
    """
    old = partial.with_name(f"{partial.name}.old")
    with alone(partial):
        _clear_up(final, partial, old, journal)
        partial.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            _replace(final, partial, old)
            if journal:
                journal.forget()
        except OSError as error:
            if error.errno in NO_ROOM:
                raise ConvertError(f"{final.parent}: the disk is full; make room and run it again") from error
            raise
        finally:
            _remove(old, *([] if journal else [partial]))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """No other process makes this folder meanwhile. Raises ConvertError if one does."""

    def taken() -> None:
        raise ConvertError(f"{folder.name}: another process is making it; wait for its end")

    with locked(folder.parent.with_name(".locks") / f"{folder.name}.lock", taken):
        yield


@contextmanager
def locked(path: Path, taken: Callable[[], None]) -> Iterator[None]:
    """Hold a lock file, which stays when it is free; the lock of a process that was killed is free.

    `taken` is called if another process holds it: it raises, or returns to wait.
    """
    from filelock import FileLock, Timeout  # takes as long to import as `doit list`

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        taken()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _clear_up(final: Path, partial: Path, old: Path, journal: Journal | None) -> None:
    """What a killed run left: torn files, and an artifact that was on its way out when nothing came in."""
    if old.exists() and not final.exists():
        old.rename(final)
    _remove(old, *([] if journal else [partial]))
    for torn in partial.glob(".*.partial"):
        torn.unlink()


def _replace(final: Path, new: Path, old: Path) -> None:
    """Put `new` in the place of `final`, which waits as `old` until that has worked."""
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
