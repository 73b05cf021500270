"""The bytes of a file that is elsewhere, in order: several ranges come at a time, ahead of the reader."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Thread

RANGE_BYTES = 2 * 2**20
"""Bytes of a request."""
CONNECTIONS = 6
"""Ranges that are received at a time."""
WINDOW_BYTES = (CONNECTIONS + 1) * RANGE_BYTES
"""Bytes of memory that are received, or wait to be read."""

Receive = Callable[[int, memoryview, Event], None]
"""Fills a buffer with the bytes from a place; raises if the event is set meanwhile."""


@dataclass(frozen=True)
class _Range:
    """Bytes that come, or have come if it is done."""

    first: int
    buffer: bytearray
    count: int
    done: "Future[None]"

    @property
    def bytes(self) -> memoryview:
        return memoryview(self.buffer)[: self.count]


class Ahead:
    """Reads from `start` to `end`, each byte once. One thread calls it; others receive."""

    def __init__(self, receive: Receive, start: int, end: int) -> None:
        self.at = start
        """The place of the next byte."""
        self._receive, self._ordered, self._end = receive, start, end
        self._stop = Event()
        self._orders: SimpleQueue[_Range | None] = SimpleQueue()
        self._coming: deque[_Range] = deque()
        self._free = [bytearray(RANGE_BYTES) for _ in range(WINDOW_BYTES // RANGE_BYTES)]
        self._read, self._left = bytearray(), memoryview(b"")
        # Daemons: after Ctrl-C nobody waits for a server that has stopped sending.
        self._threads = [Thread(target=self._work, name="receive", daemon=True) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()
        self._order()

    def read(self, into: memoryview) -> None:
        """Fill a buffer with the next bytes, waiting for them. Raises what receiving them raised."""
        done = 0
        while done < len(into):
            if not self._left:
                self._next()
            count = min(len(self._left), len(into) - done)
            into[done : done + count] = self._left[:count]
            self._left = self._left[count:]
            done, self.at = done + count, self.at + count

    def close(self) -> None:
        """Stop receiving; what was received is dropped."""
        self._stop.set()
        for _ in self._threads:
            self._orders.put(None)

    def _next(self) -> None:
        """Wait for the next range, and use the buffer of the last one again."""
        if self._read:
            self._free.append(self._read)
        self._order()
        coming = self._coming.popleft()
        coming.done.result()
        self._read, self._left = coming.buffer, coming.bytes

    def _order(self) -> None:
        """Ask for ranges as long as there are buffers."""
        while self._free and self._ordered < self._end:
            buffer = self._free.pop()
            coming = _Range(self._ordered, buffer, min(len(buffer), self._end - self._ordered), Future())
            self._coming.append(coming)
            self._orders.put(coming)
            self._ordered += coming.count

    def _work(self) -> None:
        while (coming := self._orders.get()) and not self._stop.is_set():
            try:
                self._receive(coming.first, coming.bytes, self._stop)
                coming.done.set_result(None)
            except BaseException as error:  # for the thread that waits for it
                coming.done.set_exception(error)
