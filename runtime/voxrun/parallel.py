"""Work on a CPU's cores: NumPy and compiled loops release the interpreter lock, so threads serve."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from itertools import pairwise
from threading import Lock

from threadpoolctl import ThreadpoolController

WORTH_A_THREAD = 2**22
"""Multiplications from which on a second thread pays: some 0.2 ms of work."""


@cache
def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parts(part: Callable[[int, int], None], n: int, work: int, *, blas: bool = False) -> None:
    """Call part(first, last) for spans that cover range(n).

    There are as many as there are cores, and as `work`, a number of multiplications, is worth. A part that
    calls the BLAS says so.
    """
    parts = min(cores(), 1 + work // WORTH_A_THREAD, n)
    with one_blas_thread() if blas else nullcontext():
        if parts == 1:
            return part(0, n)
        ends = [n * i // parts for i in range(parts + 1)]
        others = [_pool().submit(part, *span) for span in pairwise(ends[1:])]
        part(0, ends[1])
        for other in others:
            other.result()


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="voxrun")


class _OneBlasThread:
    """Counts who is within, in whatever thread: the first one limits, the last one restores."""

    def __init__(self) -> None:
        self._libraries, self._lock, self._users = ThreadpoolController(), Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._limit = self._libraries.limit(limits=1, user_api="blas")
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._limit.restore_original_limits()


@cache
def one_blas_thread() -> _OneBlasThread:
    """A context in which the process's BLAS keeps to one thread.

    For a product of a millisecond its own threads wait for each other, spinning, three times as long as they
    work, and they do so on the cores that ours need. Within another such context it costs next to nothing.
    """
    return _OneBlasThread()
