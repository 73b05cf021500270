"""Recordings in files, of every container in `voxrun.audio.formats`."""

import os
from collections.abc import Iterator
from pathlib import Path

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

from .bytestream import ByteStream
from .choice import Choice
from .readers import Reader, reader_for
from .recorded import Recorded
from .short import short_flac


class FileSource(Recorded):
    """A recording in a file: any rate, one sound track, channels averaged."""

    def __init__(self, path: str | Path, rate: int, choice: Choice | None = None) -> None:
        """Raises AudioError if the file is absent, or no audio."""
        super().__init__(str(path), rate, choice or Choice())
        self.path = Path(path)
        self._reader = self._open()
        self.seconds = self._reader.seconds

    def _open(self) -> Reader:
        try:
            file = self.path.open("rb", buffering=0)
            size = os.fstat(file.fileno()).st_size
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            reason = getattr(error, "strerror", None) or error
            raise AudioError(f"{self.name}: cannot be read as audio ({reason})") from error
        self._file = file
        stream = ByteStream(file, self.name, size)
        return short_flac(stream, self._choice) or reader_for(stream, self._choice, self.rate)

    def _blocks(self) -> Iterator[FloatArray]:
        """Blocks of 5 s at `rate`. Raises AudioError for what cannot be read, and for what is too short."""
        try:
            yield from super()._blocks()
        finally:
            self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()
