"""Which file each recording's transcript goes to, decided before anything is heard."""

import errno
import os
import stat
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from voxrun.errors import OutputError
from voxrun.files.paths import fitting

from .output import check_place, is_special


def places(target: str, names: Sequence[str], suffix: str) -> list[Path]:
    """The file for each recording: `target` itself, or NAME.SUFFIX in it if it is or must be a folder.

    A folder is there already, ends in a slash, or has no suffix and is the target of several recordings;
    `make_folder` makes it. Raises OutputError where nothing can be written, or where one document would
    overwrite another, or a recording.
    """
    if "\0" in target:
        raise OutputError(f"{target}: a path cannot have a NUL character")
    folder = Path(target)
    # os.path, not Path: that raises for folders without permission and for names that are too long.
    is_folder = os.path.isdir(folder) or target.endswith("/")  # noqa: PTH112
    if len(names) == 1 and not is_folder:
        paths = [folder]
    elif is_folder or not folder.suffix:
        paths = [folder / fitting(Path(name).stem, f".{suffix}") for name in names]
    else:
        raise OutputError(f"{target}: a file cannot hold {len(names)} recordings; name a folder, {target}/")
    check_overwriting(paths, names)
    if paths == [folder]:
        if not is_special(folder):
            check_place(folder)
    else:
        _check_folder(folder)
    return paths


def make_folder(path: Path) -> None:
    """Make the folder of a place, if it is not there. Raises OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refusal(path.parent, error) from error


def check_overwriting(
    paths: Sequence[Path], names: Sequence[str], twice: str = "two recordings would be written there"
) -> None:
    """Raises OutputError if a recording would be overwritten, or, saying `twice`, two paths are one place."""
    recordings, taken = set(map(_identity, names)), set[object]()
    for path in paths:
        if _identity(path) in recordings:
            raise OutputError(f"{path}: the recording itself would be overwritten")
        if _identity(path) in taken:
            raise OutputError(f"{path}: {twice}")
        taken.add(_identity(path))


def _identity(path: str | Path) -> object:
    """What all names of one file have in common: links, and another case where a file system ignores that."""
    try:
        there = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # it is not there yet
        real = os.path.realpath(path)
        return unicodedata.normalize("NFC", real).casefold() if sys.platform == "darwin" else real
    return there.st_dev, there.st_ino


def _check_folder(folder: Path) -> None:
    """Raises OutputError unless it is a folder to write to, or can be made; nothing is made to find out."""
    try:
        there = _existing(folder)
        if not stat.S_ISDIR(there.stat().st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _refusal(folder, error) from error


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists. Raises OSError."""
    try:
        folder.lstat()  # a link to nothing is there: no folder can be made in its place
    except FileNotFoundError:
        return _existing(folder.parent)
    return folder


def _refusal(folder: Path, error: OSError) -> OutputError:
    return OutputError(f"{folder}: cannot be a folder for transcripts ({error.strerror})")
