"""The one thread in which MLX computes, whichever thread asks for it.

MLX's streams belong to threads. For every thread that ever used MLX the process keeps another one, and on
Linux with a CPU the end of such a thread can abort the whole process (mlx#4110). So all work on a model is
handed to one thread. It starts with the first work, does the work in the order in which it was asked for, and
lasts as long as the process. The results are plain data, or arrays that have been evaluated.
"""

import atexit
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from .errors import VoxrunError

P = ParamSpec("P")
T = TypeVar("T")

NAME = "voxrun-model"


class MlxThread:
    """Does the work that is submitted, in order, in a thread of its own."""

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread: threading.Thread | None = None  # once it has started
        self._process = 0  # in which it has
        self._starting = threading.Lock()
        self._closing, self._closed = threading.Event(), threading.Event()
        self.busy = 0.0
        """Seconds in which it worked."""
        os.register_at_fork(after_in_child=self._free_lock)

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have function(*args, **kwargs) called; its result, or its exception, comes with the future.

        Raises VoxrunError in a process that was forked from the thread's own.
        """
        self.check_process()
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:  # whatever it is, it belongs to the caller
                future.set_exception(error)

        if self.is_current():  # a destructor that the garbage collector calls there
            work()
        else:
            self._start()
            self._work.put(work)
        return future

    def later(self, function: Callable[[], None]) -> None:
        """Have function() called after all work that waits now, also if this is the thread itself.

        It must not raise. Raises VoxrunError in a process that was forked from the thread's own.
        """
        self.check_process()
        if not self.is_current():
            self._start()
        self._work.put(function)

    def is_current(self) -> bool:
        """Whether this is the thread that does the work."""
        return threading.current_thread() is self._thread

    def check_process(self) -> None:
        """Raises VoxrunError if the thread was left behind by a fork."""
        if self._process not in (0, os.getpid()):
            raise VoxrunError(
                "this process is a fork of one that had opened a model, and MLX works only in the original;"
                " start it with multiprocessing's method 'spawn', or open models only in the fork"
            )

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name=NAME, daemon=True)
                thread.start()  # or RuntimeError, if the system has no more threads
                self._thread, self._process = thread, os.getpid()
                atexit.register(self._close)
        if self._closing.is_set():
            self._refuse()

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if self._closing.is_set():
                break
            begun = time.perf_counter()
            work()
            self.busy += time.perf_counter() - begun
            del work  # or the last session would be kept until there is other work
        self._closed.set()
        threading.Event().wait()  # for ever: its end could abort the process

    def _close(self) -> None:
        """At the end of the process, after all threads but daemons: wait for what is being computed.

        MLX must not be at work while Python is taken down.
        """
        if self._process == os.getpid():
            self._closing.set()
            self._work.put(lambda: None)
            self._closed.wait()

    def _refuse(self) -> None:
        if threading.current_thread().daemon:
            threading.Event().wait()  # it ends with the process
        raise VoxrunError("the process is ending; transcribe before its last exit functions are called")

    def _free_lock(self) -> None:
        self._starting = threading.Lock()  # another thread may have held it at the fork


_THREAD = MlxThread()
submit = _THREAD.submit
later = _THREAD.later
is_current = _THREAD.is_current
check_process = _THREAD.check_process


def busy_seconds() -> float:
    """Time in which MLX's thread worked, since the start."""
    return _THREAD.busy


def computed(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of function(*args, **kwargs), called in MLX's thread; its exceptions are raised here."""
    return submit(function, *args, **kwargs).result()
