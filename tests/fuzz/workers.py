"""Many inputs in processes that may die: what each did, how long it took, how large the process became."""

import multiprocessing
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import wait

LONGEST = 10
"""Seconds of processor time for an input; then the system ends the process."""
PATIENCE = 120
"""Seconds for an input on however busy a machine."""
MOST = 300e6
"""Bytes by which an input may enlarge the process."""
SPAWN = multiprocessing.get_context("spawn")
BATCH = 2000
"""Inputs after which a process is replaced: what leaks a little does not look like one large input."""
Try = Callable[[int], str]
"""Tries input `n`; returns what kind of end it had. Raises for a defect."""


@dataclass
class Outcome:
    """Of many inputs."""

    tried: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    """How many ended how."""
    defects: list[tuple[int, str]] = field(default_factory=list)
    """Input and what it did."""
    longest: tuple[float, int] = (0.0, -1)
    """Seconds, and of which input."""
    largest: tuple[float, int] = (0.0, -1)
    """Bytes that an input added to the process, and which."""

    def add(self, message: tuple) -> None:
        """Count what a worker says of one input."""
        index, end, seconds, grown, defect = message
        self.tried += 1
        self.ends[end] = self.ends.get(end, 0) + 1
        self.longest = max(self.longest, (seconds, index))
        self.largest = max(self.largest, (grown, index))
        if defect:
            self.defects.append((index, defect))
        elif grown > MOST:
            self.defects.append((index, f"takes {grown / 1e6:.0f} MB"))


def try_all(prepare: Callable[[], Try], inputs: range, workers: int) -> Outcome:
    """Try each input in one of several processes; `prepare`, which is pickled, makes the trial in each."""
    outcome, parts = Outcome(), [inputs[at : at + BATCH] for at in range(0, len(inputs), BATCH)]
    running: dict = {}
    while parts or running:
        while parts and len(running) < workers:
            part = parts.pop(0)
            ours, theirs = SPAWN.Pipe(duplex=False)
            process = SPAWN.Process(target=_work, args=(prepare, part, theirs))
            process.start()
            theirs.close()
            running[ours] = process, part
        for connection in wait(list(running)):
            process, part = running.pop(connection)
            rest = _collect(connection, process, part, outcome)
            if rest is None:
                running[connection] = process, part
            elif len(rest):
                parts.insert(0, rest)
    return outcome


def _collect(connection, process, part: range, outcome: Outcome) -> range | None:
    """What a worker says; None while it works, else the inputs that it left."""
    try:
        for message in _received(connection):
            process.done = message[0] + 1
            outcome.add(message)
    except EOFError:
        process.join()
        done = getattr(process, "done", part.start)
        if done == part.stop:
            return range(0)
        if process.exitcode == 0:  # it asked to be replaced
            return range(done, part.stop)
        outcome.tried += 1
        outcome.defects.append((done, _death(process.exitcode)))
        return range(done + 1, part.stop)
    return None


def _received(connection) -> Iterator[tuple]:
    yield connection.recv()
    while connection.poll():
        yield connection.recv()


def _death(code: int) -> str:
    if code == -signal.SIGPROF:
        return f"computes for {LONGEST} s"
    if code == -signal.SIGALRM:
        return f"hangs for {PATIENCE} s"
    return f"ends the process ({signal.Signals(-code).name if code < 0 else code})"


def _work(prepare: Callable[[], Try], part: range, connection) -> None:
    attempt = prepare()
    for index in part:
        signal.setitimer(signal.ITIMER_PROF, LONGEST)
        signal.alarm(PATIENCE)
        before, start, defect = peak(), time.monotonic(), ""
        try:
            end = attempt(index)
        except Exception as error:  # a defect by definition: it is counted and shown
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.filename.rpartition('/')[2]}:{place.lineno}"
            end, defect = "defect", f"{type(error).__name__} at {where}: {error}"[:300]
        grown = peak() - before
        connection.send((index, end, time.monotonic() - start, grown, defect))
        if grown > MOST / 4:  # the peak stays: the next inputs would hide below it
            break
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    connection.close()


def peak() -> float:
    """The most bytes that this process had resident."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
