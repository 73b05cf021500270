"""Where transcripts are written: standard output, or files that appear when they are complete."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from voxrun.errors import AudioError, DeviceError, OutputError

LOST = (AudioError, DeviceError, OutputError)
"""Errors after which live audio leaves no document: nothing was heard, or nothing can be written."""
STREAMS = (Path("/dev"), Path("/dev/fd"))
"""Names in these folders stand for open files, even where those are regular files."""


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


class Stdout(Stream):
    """Standard output."""

    def __init__(self, live: bool) -> None:
        super().__init__(live, sys.stdout, "standard output")


class Special(Stream):
    """A file that is not regular (a FIFO, /dev/null, /dev/stdout): it is written to, never replaced."""

    def __init__(self, path: Path, live: bool) -> None:
        """Waits for the reader of a FIFO. Raises OutputError."""
        try:
            file = path.open("a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise _refusal(f"{path}:", error) from error
        super().__init__(live, file, f"{path}:")

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            super().__exit__(kind, *error)
        finally:
            _close(self._file)


class AtomicFile(Output):
    """A file that is written beside its place and renamed when complete; until then an older one stays.

    The target of a symbolic link is replaced. A live transcript that cannot be renamed is kept beside it.
    """

    def __init__(self, path: Path, live: bool) -> None:
        """Raises OutputError."""
        super().__init__(live)
        self._name, self._path = path, Path(os.path.realpath(path))
        self._part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        self._kept = False  # the partial file stays
        try:
            self._file = self._part.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise _refusal(f"{path}:", error) from error

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

    def _given_up(self, error: OSError) -> OutputError:
        """The error for a file that can no longer be written; it names the partial file of live audio."""
        self._kept = self.live and self._begun
        self.discard()
        rest = f"; what was heard is in {self._part}" if self._kept else ""
        return _refusal(f"{self._name}:", error, rest)


def output_at(path: Path, live: bool) -> Output:
    """The output for a path. Raises OutputError."""
    special = path.parent in STREAMS or (os.path.exists(path) and not os.path.isfile(path))  # noqa: PTH110, PTH113
    return Special(path, live) if special else AtomicFile(path, live)


def places(target: str, names: Sequence[str], suffix: str) -> list[Path]:
    """The file for each recording: `target` itself, or NAME.SUFFIX in it if it is or must be a folder.

    Raises OutputError where one document would overwrite another, or a recording.
    """
    folder = Path(target)
    # os.path, not Path: that raises for folders without permission and for names that are too long.
    if len(names) == 1 and not os.path.isdir(folder) and not target.endswith("/"):  # noqa: PTH112
        paths = [folder]
    else:
        paths = [folder / f"{Path(name).stem}.{suffix}" for name in names]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be a folder for transcripts ({error.strerror})") from error
    recordings = {os.path.realpath(name) for name in names}
    for path in paths:
        if paths.count(path) > 1:
            raise OutputError(f"{path}: two recordings would be written there")
        if os.path.realpath(path) in recordings:
            raise OutputError(f"{path}: the recording itself would be overwritten")
    return paths


def _refusal(what: str, error: OSError, rest: str = "") -> OutputError:
    return OutputError(f"{what} cannot be written ({error.strerror}){rest}")


def _close(file: TextIO) -> None:
    """Close a file whose last write failed: closing tries it again, and fails again."""
    with suppress(OSError):
        file.close()
