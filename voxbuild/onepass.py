"""A checkpoint read once: rows of tensors, and on the way from front to back the hash of the whole file."""

import hashlib
from collections.abc import Iterator

from .background import InTurn
from .checkpoint import BUFFER_BYTES, Checkpoint, Tensor

CHUNK_BYTES = BUFFER_BYTES
"""Bytes read at a time: what bounds memory."""


class OnePass:
    """The tensors of a checkpoint; some may be left out. While hashing they come in the order of the file."""

    def __init__(self, checkpoint: Checkpoint, *, hashing: bool) -> None:
        """Without `hashing` what lies between the tensors is not read."""
        self.checkpoint = checkpoint
        self._sha256 = hashlib.sha256() if hashing else None
        self._hashing = InTurn()
        self._at = 0

    def rows(self, tensor: Tensor) -> Iterator[tuple[int, memoryview]]:
        """(number of rows, their bytes), at least a row each, of a tensor.

        Raises CheckpointError if the file ends too early or cannot be read.
        """
        self._pass_over(tensor.start)
        for count, data in self.checkpoint.rows(tensor, CHUNK_BYTES):
            self._take(data)
            yield count, data

    def sha256(self) -> str:
        """The hash of the file, what was left out included."""
        assert self._sha256, "nothing was hashed"
        self._pass_over(self.checkpoint.nbytes)
        self._hashing.wait()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Let go of the thread that hashes."""
        self._hashing.close()

    def _pass_over(self, end: int) -> None:
        if self._sha256:
            assert self._at <= end, "tensors must come in the order of the file"
            while self._at < end:
                self._take(self.checkpoint.read(self._at, min(CHUNK_BYTES, end - self._at)))

    def _take(self, data: memoryview) -> None:
        if self._sha256:
            self._at += len(data)
            self._hashing.do(self._sha256.update, data)
