"""Recordings in files, of every container in `voxrun.audio.decode.formats`."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from voxrun.arrays import FloatArray
from voxrun.errors import AudioError

from .choice import Choice
from .decode.bytestream import ByteStream
from .decode.short import short_flac
from .recorded import Recorded

if TYPE_CHECKING:  # short recordings need no other reader than theirs
    from .decode.readers import Reader


class FileSource(Recorded):
    """A recording in a file: any rate, one sound track, channels averaged."""

    def __init__(self, path: str | Path, rate: int, choice: Choice | None = None) -> None:
        """Raises AudioError if the file is absent, or no audio."""
        super().__init__(str(path), rate, choice or Choice())
        self.path = Path(path)
        self._file: io.FileIO | None = None
        self._reader = self._open()
        self.seconds = self._reader.seconds

    def _open(self) -> "Reader":
        try:
            self._file = file = self.path.open("rb", buffering=0)
            size = os.fstat(file.fileno()).st_size
            stream = ByteStream(file, self.name, size)
            plain = self._choice.raw is None and self._choice.track in (None, 1)
            return (short_flac(stream) if plain else None) or self._reader_for(stream)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            self._close()
            missing = isinstance(error, FileNotFoundError)
            reason = "no such file" if missing else getattr(error, "strerror", None) or error
            raise AudioError(f"{self.name}: cannot be read as audio ({reason})") from error
        except AudioError:
            self._close()
            raise

    def _blocks(self) -> Iterator[FloatArray]:
        """Blocks of 5 s at `rate`. Raises AudioError for what cannot be read, and for what is too short."""
        try:
            yield from super()._blocks()
        finally:
            self._close()

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # else it never began
            self._close()
