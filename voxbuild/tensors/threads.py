"""Work beside the main thread: calls in turn, and results in the order of what they are made from.

Reading, hashing and compiled loops release the interpreter lock, so threads serve.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 8
"""Calls that may wait for their turn."""

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


class InTurn:
    """Calls one after the other in a thread of their own, which starts with the first."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="in turn")
        self._waiting: deque[Future[object]] = deque()

    def do(self, function: Callable[[Item], object], argument: Item) -> None:
        """Call function(argument) after the others; wait where too many wait. Raises what an earlier did."""
        self._waiting.append(self._thread.submit(function, argument))
        if len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def wait(self) -> None:
        """Until all are done. Raises what the first that failed did."""
        while self._waiting:
            self._waiting.popleft().result()

    def close(self) -> None:
        """Let go of the thread, and of what was not begun."""
        self._thread.shutdown(cancel_futures=True)
