"""Work on all cores of a CPU by threads: NumPy and compiled loops release the interpreter lock."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from itertools import pairwise
from threading import Lock

import numpy as np
from threadpoolctl import ThreadpoolController

WORTH_A_THREAD = 2**22
"""Multiplications that are worth another thread: about 0.2 ms of work."""


@cache
def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parts(
    part: Callable[[int, int], None], n: int, work: int, *, blas: bool = False, spans: int = 1
) -> None:
    """Call part(first, last) for spans that cover range(n).

    At most as many cores as `work`, a number of multiplications, is worth take `spans` spans each: if there
    are several, a core that something else keeps busy takes fewer. `blas`: the parts call the BLAS, which
    then keeps to one thread.
    """
    parts = min(cores(), 1 + work // WORTH_A_THREAD, n)
    with one_blas_thread() if blas else nullcontext():
        if parts == 1:
            return part(0, n)
        count = min(parts * spans, n)
        rest = iter(
            list(pairwise(n * i // count for i in range(count + 1)))
        )  # of a list: threads may share it

        def take() -> None:
            for first, last in rest:
                part(first, last)

        others = [_begin(take) for _ in range(parts - 1)]
        take()
        for finish in others:
            finish()


def _begin(function: Callable[[], None]) -> Callable[[], None]:
    """Begin function() in another thread; the function returned waits for its end."""
    try:
        return _pool().submit(function).result
    except RuntimeError:  # the main thread has ended, and with it the pool; other threads may go on
        return function


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="voxrun", initializer=_quietly)


def _quietly() -> None:
    """Values of a damaged model that are not finite give no warning in this thread."""
    np.seterr(all="ignore")


class _OneBlasThread:
    """Counts the open contexts of all threads: the first one limits the BLAS, the last one restores it."""

    def __init__(self) -> None:
        self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self._lock, self._users = Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = [library.get_num_threads() for library in self._libraries]
                self._limit([1] * len(self._libraries))
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit(self._before)

    def _limit(self, numbers: list[int]) -> None:
        for library, number in zip(self._libraries, numbers, strict=True):
            # From 3.8 on, threadpoolctl silently does nothing in any thread but the first that set a
            # limit; whichever thread asks, the limit is the whole process's.
            if hasattr(library, "clear_controlling_thread"):
                library.clear_controlling_thread(force=True)
            library.set_num_threads(number)


@cache
def one_blas_thread() -> _OneBlasThread:
    """A context in which the process's BLAS uses one thread; contexts may be nested, at almost no cost.

    In products of a millisecond the BLAS's own threads spend three quarters of the time spinning, on the
    cores that our threads need.
    """
    return _OneBlasThread()


os.register_at_fork(after_in_child=_pool.cache_clear)  # its threads stay behind
os.register_at_fork(after_in_child=one_blas_thread.cache_clear)
