"""Threads that come and go over one model, and processes that end in the middle: counts the aborts."""

import argparse
import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import soundfile

from voxrun import Result, Session, Transcriber, VoxrunError

ROOT = Path(__file__).parents[1]
CLIP = ROOT / "tiny/clips/prompts/please-try-again.flac"
AT_ONCE = 4
"""Threads that transcribe at the same time."""


class Work:
    """A transcript to make, again and again: it must always be the same."""

    def __init__(self, model: Path) -> None:
        self.transcriber = Transcriber.open(model)
        self.samples, _ = soundfile.read(CLIP, dtype="float32")
        self.text = self.hear()
        self.ends = 0

    def hear(self) -> str:
        """By one session."""
        session = self.transcriber.session()
        return (session.feed(self.samples).text + session.finish().text).strip()

    def checked(self, *_: object) -> None:
        """Raises AssertionError if this time it is another text."""
        assert self.hear() == self.text

    def ended(self, n: int) -> None:
        """That many threads have ended."""
        self.ends += n


def in_threads(work: Work, n: int) -> None:
    """Threads start and end while others are in the middle."""
    for first in range(0, n, AT_ONCE):
        threads = [threading.Thread(target=work.checked) for _ in range(min(AT_ONCE, n - first))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        work.ended(len(threads))


def in_pools(work: Work, n: int) -> None:
    """A pool is made, used, and shut down."""
    for first in range(0, n, AT_ONCE):
        size = min(AT_ONCE, n - first)
        with ThreadPoolExecutor(size) as pool:
            list(pool.map(work.checked, range(2 * size)))
        work.ended(size)


def in_asyncio(work: Work, n: int) -> None:
    """Event loops with their own threads."""

    async def together(size: int) -> None:
        await asyncio.gather(*(asyncio.to_thread(work.checked) for _ in range(size)))

    for first in range(0, n, AT_ONCE):
        size = min(AT_ONCE, n - first)
        asyncio.run(together(size))
        work.ended(size)


def from_hand_to_hand(work: Work, n: int) -> None:
    """A session is started, fed piece by piece, finished and dropped, each in a thread that then ends."""
    session: list[Session] = []
    results: list[Result] = []

    def in_a_thread(step: Callable[[], object]) -> None:
        thread = threading.Thread(target=step)
        thread.start()
        thread.join()
        work.ended(1)

    half = len(work.samples) // 2
    while work.ends < n:
        in_a_thread(lambda: session.append(work.transcriber.session()))
        in_a_thread(lambda: results.append(session[0].feed(work.samples[:half])))
        in_a_thread(lambda: results.append(session[0].feed(work.samples[half:])))
        in_a_thread(lambda: results.append(session[0].finish()))
        in_a_thread(session.clear)
        assert "".join(map(str, results)).strip() == work.text
        results.clear()


def with_errors(work: Work, n: int) -> None:
    """Every thread ends by an exception, in the middle of a session."""

    def fail() -> None:
        session = work.transcriber.session()
        session.feed(work.samples)
        session.feed([])  # type: ignore[arg-type]

    for first in range(0, n, AT_ONCE):
        size = min(AT_ONCE, n - first)
        with ThreadPoolExecutor(size) as pool:
            failures = [pool.submit(fail).exception() for _ in range(size)]
        assert all(isinstance(failure, VoxrunError) for failure in failures)
        work.ended(size)


def at_the_end(work: Work, n: int) -> None:
    """The main thread ends while a pool and threads of both kinds are at work."""

    def on_and_on() -> None:
        while True:
            work.hear()

    for i in range(n):
        threading.Thread(target=on_and_on if i % 2 else work.checked, daemon=bool(i % 2)).start()
    pool = ThreadPoolExecutor(2)  # never shut down
    for _ in range(4):
        pool.submit(work.checked)
    work.ended(n)


WAYS = {
    way.__name__: way
    for way in (in_threads, in_pools, in_asyncio, from_hand_to_hand, with_errors, at_the_end)
}


def main() -> int:
    """Run the children one after the other; the exit code is 1 if one died."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "out/tiny/4bit")
    parser.add_argument("--ends", type=int, default=1000, help="thread ends in all")
    parser.add_argument("--each", type=int, default=20, help="thread ends in one process")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        work = Work(args.model)
        WAYS[args.child](work, args.each)
        print(work.ends, flush=True)
        return 0
    ends = aborts = processes = 0
    options = ["--model", args.model, "--each", str(args.each)]
    while ends < args.ends:
        way = list(WAYS)[processes % len(WAYS)]
        process = subprocess.run(
            [sys.executable, __file__, "--child", way, *options], capture_output=True, text=True
        )
        processes += 1
        if process.returncode or process.stderr:
            aborts += 1
            print(f"{way}: exit {process.returncode}; {process.stderr.strip()[-300:]}", flush=True)
            ends += args.each
        else:
            ends += int(process.stdout)
    print(f"aborts: {aborts} of {ends} thread ends, in {processes} processes")
    return min(aborts, 1)


if __name__ == "__main__":
    sys.exit(main())
