"""Scales and biases, which stand behind a tensor's packed weights in a file, but come with them."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import SpooledTemporaryFile

from voxbuild.tensors.threads import Buffer

IN_MEMORY = 2**20
"""Bytes of an output that are held in memory; more are in a file without a name."""
BLOCK = 2**20
"""Bytes written or read at a time."""


class Held:
    """The outputs of one tensor that must wait. An embedding's take 25 MB at 4 bits."""

    def __init__(self, folder: Path) -> None:
        """`folder` is on the disk that the artifact is written to: elsewhere may be memory."""
        self._folder = folder
        self._outputs: list[SpooledTemporaryFile[bytes]] = []

    def add(self, parts: Sequence[Buffer]) -> None:
        """The next rows of each output. Raises OSError."""
        if not self._outputs:
            self._outputs = [self._opened() for _ in parts]
        for output, part in zip(self._outputs, parts, strict=True):
            output.write(part)

    def taken(self) -> Iterator[bytes]:
        """All of the first output, then of the next one; nothing is held then. Raises OSError."""
        for output in self._outputs:
            output.seek(0)
            while block := output.read(BLOCK):
                yield block
        self.drop()

    def drop(self) -> None:
        """Hold nothing any more."""
        outputs, self._outputs = self._outputs, []
        for output in outputs:
            with suppress(OSError):  # a full disk: closing writes what is in memory, which nobody needs
                output.close()

    def _opened(self) -> "SpooledTemporaryFile[bytes]":
        """A system that has to name such a file for a moment names it as one of TORN_FILES."""
        return SpooledTemporaryFile(
            IN_MEMORY, "w+b", BLOCK, suffix=".partial", prefix=".", dir=str(self._folder)
        )
