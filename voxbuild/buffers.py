"""Memory to read into, used again: pages that are new to a process cost more than what is done with them."""

import weakref

import numpy as np


class Buffers:
    """Buffers of one size; each is free again when nobody looks at it, or at a part of it, any more."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._lent: dict[int, tuple[object, bytearray]] = {}
        # Told by a method of a list, not by code of ours: Python drops a Ctrl-C that comes within a callback.
        self._returned: list[object] = []

    def take(self, nbytes: int) -> memoryview:
        """A buffer's first bytes; a new one where all are in use, or too small."""
        if nbytes > self._nbytes:
            return memoryview(bytearray(nbytes))
        memory = self._free() or bytearray(self._nbytes)
        seen = np.frombuffer(memory, np.uint8)  # every view keeps it alive: its end is that of the last one
        watch = weakref.ref(seen, self._returned.append)
        self._lent[id(watch)] = watch, memory
        return seen.data[:nbytes]

    def _free(self) -> bytearray | None:
        return self._lent.pop(id(self._returned.pop()))[1] if self._returned else None
