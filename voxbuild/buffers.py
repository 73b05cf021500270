"""Memory to read into, used again: pages that are new to a process cost more than what is done with them."""

import weakref

import numpy as np


class Buffers:
    """Buffers of one size; each is free again when nobody looks at it, or at a part of it, any more."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._free: list[bytearray] = []

    def take(self, nbytes: int) -> memoryview:
        """A buffer's first bytes; a new one where all are in use, or too small."""
        if nbytes > self._nbytes:
            return memoryview(bytearray(nbytes))
        memory = self._free.pop() if self._free else bytearray(self._nbytes)
        seen = np.frombuffer(memory, np.uint8)  # every view keeps it alive: its end is that of the last one
        weakref.finalize(seen, self._free.append, memory).atexit = False
        return seen.data[:nbytes]
