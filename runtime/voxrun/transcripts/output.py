"""Where transcripts are written: standard output, or files that appear when they are complete."""

import errno
import os
import stat
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from voxrun.errors import AudioError, DeviceError, OutputError
from voxrun.files.descriptors import STREAMS, check_writable, descriptor_at, writer
from voxrun.files.paths import fitting

LOST = (AudioError, DeviceError, OutputError)
"""Errors after which live audio leaves no document: nothing was heard, or nothing can be written."""


class Output(ABC):
    """One document: leaving its `with` block commits it, leaving with an error discards it.

    A live one is committed after most errors too: it may hold hours of speech.
    """

    def __init__(self, live: bool) -> None:
        self.live = live
        self._begun = False  # something was written

    @abstractmethod
    def write(self, text: str) -> None:
        """Add to the document. Raises OutputError."""

    @abstractmethod
    def commit(self) -> None:
        """The document is complete. Raises OutputError."""

    @abstractmethod
    def discard(self) -> None:
        """Leave no document."""

    @abstractmethod
    def abort(self) -> None:
        """After a KeyboardInterrupt at any moment, also amid the methods above: leave nothing half done."""

    def __enter__(self) -> "Output":
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None or (self.live and self._begun and not issubclass(kind, LOST)):
            self.commit()
        else:
            self.discard()


class Stream(Output):
    """Output that cannot be taken back: live audio is written at once, a recording when it is complete."""

    def __init__(self, live: bool, file: TextIO, name: str) -> None:
        super().__init__(live)
        self._file, self._name, self._text = file, name, ""

    def write(self, text: str) -> None:
        """Add to the document."""
        self._text += text
        self._begun = self._begun or bool(text)
        if self.live and text:
            self.commit()

    def commit(self) -> None:
        """Print what was written since the last commit."""
        text, self._text = self._text, ""
        try:
            tqdm.write(text, file=self._file, end="")  # lifts a progress bar on the same terminal
            self._file.flush()
        except OSError as error:
            if self._file is sys.stdout and isinstance(error, BrokenPipeError):
                raise  # its reader is gone, which ends the program quietly
            raise _refusal(self._name, error) from error

    def discard(self) -> None:
        """Print nothing more."""
        self._text = ""

    abort = discard


class Stdout(Stream):
    """Standard output."""

    def __init__(self, live: bool) -> None:
        super().__init__(live, sys.stdout, "standard output")

    @staticmethod
    def check() -> None:
        """Raises OutputError if it is closed. What Python code put in its place is not looked at."""
        try:
            if sys.stdout is None or sys.stdout.fileno() == 1:
                check_writable(1)
        except OSError as error:
            if error.errno == errno.EBADF:
                raise OutputError("standard output is closed: open it, or use --output FILE") from error


class Special(Stream):
    """A file that is not regular (a FIFO, /dev/null, /dev/fd/3): it is written to, never replaced."""

    def __init__(self, path: Path, live: bool) -> None:
        """Waits for the reader of a FIFO. Raises OutputError."""
        try:
            file = writer(_descriptor(path))
        except OSError as error:
            raise _refusal(f"{path}:", error) from error
        super().__init__(live, file, f"{path}:")

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            super().__exit__(kind, *error)
        finally:
            _close(self._file)


def _descriptor(path: Path) -> int:
    """A new descriptor to write to a special file.

    Names of open descriptors are not opened again: that fails for sockets, and has an offset of its own.
    """
    number = descriptor_at(str(path))
    if number is None:
        return os.open(path, os.O_WRONLY | os.O_APPEND)
    check_writable(number)
    return os.dup(number)


class AtomicFile(Output):
    """A file that is written beside its place and renamed when complete; until then an older one stays.

    The new one gets the older one's permissions, and its owner if that may be set. The target of a symbolic
    link is replaced. A live transcript that cannot be renamed is kept beside it.
    """

    _file: TextIO

    def __init__(self, path: Path, live: bool) -> None:
        super().__init__(live)
        self._name, self._path = path, Path(os.path.realpath(path))
        # Named anew each time: a killed process may have left one that holds all it heard.
        ending = f".{os.getpid()}-{os.urandom(3).hex()}.part"
        self._part = self._path.with_name(fitting(f".{self._path.name}", ending))
        self._kept = False  # the partial file stays

    def __enter__(self) -> "Output":
        """Create the partial file. Raises OutputError."""
        try:
            self._file = self._created()
        except OSError as error:
            raise _refusal(f"{self._name}:", error) from error
        return self

    def _created(self) -> TextIO:
        old = _writable(self._path)
        descriptor = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        if old:
            with suppress(OSError):  # it is another user's
                os.fchown(descriptor, old.st_uid, old.st_gid)
            with suppress(OSError):  # the file system has no permissions
                os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
        return os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="\n")

    def write(self, text: str) -> None:
        """Add to the document."""
        try:
            self._file.write(text)
            self._file.flush()  # so that the partial file survives a killed process
        except OSError as error:
            raise self._given_up(error) from error
        self._begun = self._begun or bool(text)

    def commit(self) -> None:
        """Put the file in its place."""
        try:
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise self._given_up(error) from error

    def discard(self) -> None:
        """Remove the partial file, unless it was kept after a failure."""
        _close(self._file)
        if not self._kept:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    def abort(self) -> None:
        """Put live audio's file in its place, if it is not there yet, and remove any other."""
        with suppress(OSError):
            if self.live and self._begun and not self._kept:
                self._part.replace(self._path)
            elif not self._kept:
                self._part.unlink(missing_ok=True)

    def _given_up(self, error: OSError) -> OutputError:
        """The error for a file that can no longer be written; it names the partial file of live audio."""
        self._kept = self.live and self._begun and self._part.exists()
        self.discard()
        rest = f"; what was heard is in {self._part}" if self._kept else ""
        return _refusal(f"{self._name}:", error, rest)


def output_at(path: Path, live: bool) -> Output:
    """The output for a path. Raises OutputError."""
    if is_special(path):
        return Special(path, live)
    check_place(path)
    return AtomicFile(path, live)


def is_special(path: Path) -> bool:
    """Whether a path is that of something which is written to, never replaced: no file, and no folder."""
    ordinary = os.path.isfile(path) or os.path.isdir(path)  # noqa: PTH112, PTH113
    return str(path.parent) in STREAMS or (os.path.exists(path) and not ordinary)  # noqa: PTH110


def check_place(path: Path) -> None:
    """Raises OutputError if no file can be put at a path; nothing is written to find out."""
    try:
        _writable(Path(os.path.realpath(path)))
    except OSError as error:
        raise _refusal(f"{path}:", error) from error


def _writable(path: Path) -> os.stat_result | None:
    """What is known of the file at a path, if there is one. Raises OSError unless it can be replaced."""
    (path.parent / ".").stat()
    try:
        old = path.stat()
    except FileNotFoundError:
        old = None
    if old and stat.S_ISDIR(old.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not os.access(path.parent, os.W_OK | os.X_OK) or (old and not os.access(path, os.W_OK)):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    return old


def _refusal(what: str, error: OSError, rest: str = "") -> OutputError:
    return OutputError(f"{what} cannot be written ({error.strerror}){rest}")


def _close(file: TextIO) -> None:
    """Close a file whose last write failed: closing tries it again, and fails again."""
    with suppress(OSError):
        file.close()
