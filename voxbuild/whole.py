"""Folders that appear whole or not at all."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import ConvertError
from .journal import Journal


@contextmanager
def whole_folder(final: Path, partial: Path, journal: Journal | None = None) -> Iterator[Path]:
    """The folder `partial`, which takes the place of `final` when all went well.

    When not, it is gone, unless `journal` says that something in it is whole: then the next run goes on with
    it. Raises ConvertError if the disk is full.
    """
    old = partial.with_name(f"{partial.name}.old")
    _remove(old, *([] if journal else [partial]))  # what a killed run left
    partial.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        _replace(final, partial, old)
        if journal:
            journal.forget()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ConvertError(f"{final.parent}: the disk is full; make room and run it again") from error
        raise
    finally:
        _remove(old, *([] if journal else [partial]))


def _replace(final: Path, new: Path, old: Path) -> None:
    """Put `new` in the place of `final`, which waits as `old` until that has worked."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.exists():
        final.rename(old)
    try:
        new.rename(final)
    except OSError:
        if old.exists():
            old.rename(final)
        raise


def _remove(*folders: Path) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
