"""Whatever a program holds audio in, as a source: a path, bytes, a file object, an array, or blocks."""

import io
import os
import shutil
import tempfile
from collections.abc import Iterable
from typing import Any, BinaryIO

import numpy as np

from voxrun.arrays import Array
from voxrun.errors import AudioError

from .array import ArraySource, BlockSource
from .file import FileSource
from .source import Source

Audio = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Array | Iterable[Array]
"""What can be transcribed."""


def open_audio(
    audio: Audio, rate: int, *, sample_rate: float | None = None, channel: int | None = None
) -> Source:
    """The audio as mono samples at `rate`; `sample_rate` is that of samples in arrays, and of nothing else.

    Raises AudioError if it cannot be read.
    """
    if isinstance(audio, np.ndarray):
        return ArraySource(audio, sample_rate, rate, channel=channel)
    encoded = isinstance(audio, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(audio, "read")
    if encoded and sample_rate is not None:
        raise AudioError("rate belongs to arrays of samples; a file says its own")
    if isinstance(audio, str | os.PathLike):
        return FileSource(os.fspath(audio), rate)
    if isinstance(audio, bytes | bytearray | memoryview):
        return CopySource(io.BytesIO(audio), rate)
    if encoded:
        return CopySource(audio, rate)
    if isinstance(audio, Iterable):
        return BlockSource(audio, sample_rate, rate, channel=channel)
    raise AudioError(
        "audio must be a path, bytes, a binary file, a NumPy array or an iterable of arrays, not"
        f" {type(audio).__name__}"
    )


class CopySource(FileSource):
    """A file object, read to its end into a temporary file."""

    def __init__(self, file: Any, rate: int) -> None:
        """Raises AudioError if it gives no bytes, or no audio."""
        self._copy = tempfile.NamedTemporaryFile()  # noqa: SIM115 - it lives as long as the source
        try:
            shutil.copyfileobj(file, self._copy)
        except TypeError as error:
            raise AudioError("a file object must be opened in binary mode") from error
        self._copy.flush()
        super().__init__(self._copy.name, rate)
