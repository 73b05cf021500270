"""Work beside the main thread: hashes in the order of the data, functions in the order of their arguments.

Reading, hashing and compiled loops release the interpreter lock, so threads serve.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 4
"""Pieces of data that may wait for a hash."""

Buffer = bytes | memoryview
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """function(item) of each item, in their order; at most `ahead` of them are begun and not yet taken."""
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) == ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:  # after an error nobody takes the others
        for future in begun:
            future.cancel()


class BackgroundHash:
    """sha256 of pieces of data, computed in a thread of its own."""

    def __init__(self, begin: bytes = b"") -> None:
        self._sha256 = hashlib.sha256(begin)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sha256")
        self._waiting: deque[Future[None]] = deque()

    def update(self, data: Buffer) -> None:
        """The next piece; it must not change afterwards. Waits where the thread is too far behind."""
        self._waiting.append(self._thread.submit(self._sha256.update, data))
        if len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def hexdigest(self) -> str:
        """The hash of everything until now."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._sha256.hexdigest()

    def close(self) -> None:
        """Let go of the thread."""
        self._thread.shutdown(cancel_futures=True)
