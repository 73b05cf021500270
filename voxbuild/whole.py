"""Folders that appear whole or not at all, made by one process at a time."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ConvertError
from .journal import Journal

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
    """Nobody else makes this folder meanwhile. Raises ConvertError if somebody does."""
    path = folder.with_name(f"{folder.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone = not path.exists() or os.fstat(file.fileno()).st_ino != path.stat().st_ino
        except OSError as error:
            raise _taken(folder) from error
        if gone:  # who held it has just removed it: others may hold a new one
            raise _taken(folder)
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _taken(folder: Path) -> ConvertError:
    return ConvertError(f"{folder.name}: another process is making it; wait for its end")


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
