"""The source for whatever a Python program has: a path, bytes, a file object, or arrays with their rate."""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voxrun.arrays import Array
from voxrun.errors import AudioError

from .array import ArraySource, BlockSource
from .choice import Choice
from .file import FileSource
from .recorded import StreamSource
from .source import Source


class BinaryFile(Protocol):
    """A file object whose `read` gives bytes; it need not be able to seek."""

    def read(self, n: int, /) -> bytes:
        """Up to n bytes; empty at the end."""


Audio = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | Array | Iterable[Array]
"""What can be transcribed."""


def open_audio(
    audio: Audio, rate: int, *, sample_rate: float | None = None, choice: Choice | None = None
) -> Source:
    """A source of blocks at `rate`; `sample_rate` is that of samples in arrays.

    Raises AudioError if it is none of these, or no audio.
    """
    if isinstance(audio, np.ndarray):
        return ArraySource(audio, sample_rate, rate, choice)
    encoded = isinstance(audio, str | os.PathLike | bytes | bytearray | memoryview)
    if not encoded and not callable(getattr(audio, "read", None)):
        if isinstance(audio, Iterable):
            return BlockSource(audio, sample_rate, rate, choice)
        raise AudioError(
            f"{type(audio).__name__} is no audio: a path, bytes, a binary file or arrays of samples are"
        )
    if sample_rate is not None:
        raise AudioError("a recording says its rate itself: rate is for arrays (and raw for raw samples)")
    return _encoded(audio, rate, choice)


def _encoded(audio: Any, rate: int, choice: Choice | None) -> Source:
    if isinstance(audio, str | os.PathLike):
        if not (name := os.fsdecode(audio)):
            raise AudioError("the path of the recording is empty")
        return FileSource(Path(name), rate, choice)
    if isinstance(audio, bytes | bytearray | memoryview):
        data = bytes(audio)
        return StreamSource(io.BytesIO(data), f"{len(data):,} bytes", rate, choice, len(data))
    return StreamSource(FileObject(audio), _name_of(audio), rate, choice)


def _name_of(file: Any) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else type(file).__name__


class FileObject:
    """A binary file of a Python program. Whatever it raises is an AudioError here, with that as its cause."""

    def __init__(self, file: Any) -> None:
        """Raises AudioError for a text file, and for a closed one."""
        self._file, self._name = file, _name_of(file)
        if isinstance(file, io.TextIOBase):
            raise self._text_file()
        with self._its_errors():
            self._begin = file.tell() if _seekable(file) else None

    def read(self, n: int) -> bytes:
        """Up to n bytes; empty at the end. Raises AudioError."""
        with self._its_errors():
            data = self._file.read(n)
        if data is None:
            raise AudioError(f"{self._name}: has no data yet; a file that blocks is needed")
        if isinstance(data, str):
            raise self._text_file()
        if not isinstance(data, bytes | bytearray | memoryview):
            raise AudioError(f"{self._name}: its read gives no bytes, but {type(data).__name__}")
        return bytes(data)

    def seekable(self) -> bool:
        """Whether its beginning can be read again."""
        return self._begin is not None

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a byte, counted from where the recording begins. Raises AudioError."""
        begin = self._begin or 0
        with self._its_errors():
            at: int = self._file.seek(offset + begin if whence == io.SEEK_SET else offset, whence)
            return at - begin

    def tell(self) -> int:
        """The byte to be read next. Raises AudioError."""
        with self._its_errors():
            at: int = self._file.tell()
            return at - (self._begin or 0)

    @contextmanager
    def _its_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise AudioError(f"{self._name}: cannot be read ({reason})") from error

    def _text_file(self) -> AudioError:
        return AudioError(f"{self._name}: is a text file; open it in binary mode ('rb')")


def _seekable(file: Any) -> bool:
    seekable = getattr(file, "seekable", None)
    return bool(seekable and seekable() and hasattr(file, "seek") and hasattr(file, "tell"))
