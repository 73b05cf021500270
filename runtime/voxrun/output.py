"""Where transcripts go: standard output, or files that appear whole or not at all."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tqdm import tqdm

from .errors import OutputError


class Output(ABC):
    """One document. Leaving its `with` block in order commits it, leaving on an error discards it.

    A live one is also committed if it is broken off: hours may be in it.
    """

    def __init__(self, live: bool) -> None:
        self.live = live

    @abstractmethod
    def write(self, text: str) -> None:
        """Add to the document. Raises OutputError."""

    @abstractmethod
    def commit(self) -> None:
        """The document is complete. Raises OutputError."""

    @abstractmethod
    def discard(self) -> None:
        """There is to be no document after all."""

    def __enter__(self) -> "Output":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None or (self.live and kind is KeyboardInterrupt):
            self.commit()
        else:
            self.discard()


class Stdout(Output):
    """Standard output: at once for live sound, on commit for a file that may yet turn out damaged."""

    def __init__(self, live: bool) -> None:
        super().__init__(live)
        self._text = ""

    def write(self, text: str) -> None:
        """Add to the document."""
        self._text += text
        if self.live and text:
            self.commit()

    def commit(self) -> None:
        """Print what was written since the last time."""
        text, self._text = self._text, ""
        try:
            tqdm.write(text, file=sys.stdout, end="")  # lifts a progress bar on the same terminal
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"standard output cannot be written ({error.strerror})") from error

    def discard(self) -> None:
        """Print nothing more."""
        self._text = ""


class AtomicFile(Output):
    """A file that is written beside its place and renamed when complete: an older one stays until then."""

    def __init__(self, path: Path, live: bool) -> None:
        """Raises OutputError."""
        super().__init__(live)
        self._path, self._part = path, path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            self._file = self._part.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise self._error(error) from error

    def write(self, text: str) -> None:
        """Add to the document."""
        try:
            self._file.write(text)
            self._file.flush()  # what a killed process has heard can be found beside
        except OSError as error:
            raise self._error(error) from error

    def commit(self) -> None:
        """Put the file in its place."""
        try:
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            raise self._error(error) from error

    def discard(self) -> None:
        """Remove what was written."""
        self._file.close()
        self._part.unlink(missing_ok=True)

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"{self._path}: cannot be written ({error.strerror})")


def places(target: str, names: Sequence[str], suffix: str) -> list[Path]:
    """The file for each recording: `target` itself, or NAME.SUFFIX in it if it is or must be a folder.

    Raises OutputError where one document would overwrite another, or a recording.
    """
    folder = Path(target)
    if len(names) == 1 and not folder.is_dir() and not target.endswith("/"):
        paths = [folder]
    else:
        paths = [folder / f"{Path(name).stem}.{suffix}" for name in names]
        _make(folder)
    recordings = {Path(name).resolve() for name in names}
    for path in paths:
        if paths.count(path) > 1:
            raise OutputError(f"{path}: two recordings would be written there")
        if path.resolve() in recordings:
            raise OutputError(f"{path}: the recording itself would be overwritten")
    return paths


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be a folder for transcripts ({error.strerror})") from error
