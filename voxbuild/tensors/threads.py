"""Threads beside the main one: calls one after the other, and results in the order of their inputs.

Reading, hashing and compiled loops release Python's global lock, so threads run in parallel.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

WAITING = 4
"""Calls of `InTurn` that may wait."""

Buffer = bytes | memoryview
Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """function(item) of each item, in order; at most `ahead` are started before their results are taken."""
    begun: deque[Future[Result]] = deque()
    try:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) == ahead:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:  # after an error the other results are not needed
        for future in begun:
            future.cancel()


class InTurn:
    """Calls functions one after the other in a separate thread."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="in turn")
        self._waiting: deque[Future[object]] = deque()
        self._error: BaseException | None = None

    def do(self, function: Callable[[Item], object], argument: Item) -> None:
        """Call function(argument) after the others; blocks if too many wait. Raises earlier calls' errors."""
        self._waiting.append(self._thread.submit(self._call, function, argument))
        if len(self._waiting) > WAITING:
            self._waiting.popleft().result()

    def wait(self) -> None:
        """Wait for all calls. Raises the error of the first that failed."""
        while self._waiting:
            self._waiting.popleft().result()

    def check(self) -> None:
        """Raise the error of the first call that failed, in a call that must not be made after one."""
        if self._error:
            raise self._error

    def close(self) -> None:
        """Stop the thread; calls that have not started are cancelled."""
        self._thread.shutdown(cancel_futures=True)

    def _call(self, function: Callable[[Item], object], argument: Item) -> None:
        try:
            function(argument)
        except BaseException as error:
            self._error = self._error or error
            raise
