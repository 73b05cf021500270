"""Times: warmed up, measured several times, never for long."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from .results import Spread

LONG = 2.0
"""Seconds; what takes longer is measured once, and its first run is not thrown away."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    rows: tuple[int, ...]
    """Of decoder passes."""
    blocks: tuple[int, ...]
    """Positions of encoder passes."""
    seconds: float
    """For each figure."""
    samples: int
    """Of each figure, at most."""
    longest: float
    """Seconds; a pass that may take longer is left out."""
    audio: float
    """Seconds of audio to hear at most."""
    hearing: float
    """Seconds that hearing it may take, about."""
    full_window: bool


THOROUGH = Effort(
    rows=(1, 2, 3, 4, 5, 8, 10, 16, 24, 32, 64),
    blocks=(1, 4, 8, 16, 32, 64, 128, 256),
    seconds=1.0,
    samples=30,
    longest=12.0,
    audio=60.0,
    hearing=30.0,
    full_window=True,
)
QUICK = Effort(
    rows=(1, 2, 4, 8, 16, 32),
    blocks=(4, 16, 64),
    seconds=0.2,
    samples=5,
    longest=4.0,
    audio=10.0,
    hearing=15.0,
    full_window=False,
)


def timed(work: Callable[[], object], effort: Effort, prepare: Callable[[], object] = lambda: None) -> Spread:
    """How long `work` takes; `prepare` comes before each time, and does not count."""
    samples = [_seconds(work, prepare)]
    if samples[0] < LONG:
        samples = [_seconds(work, prepare)]  # the first one compiles, and fills caches
        while len(samples) < effort.samples and (len(samples) < 2 or sum(samples) < effort.seconds):
            samples.append(_seconds(work, prepare))
    return Spread(statistics.median(samples), min(samples), max(samples), len(samples))


def _seconds(work: Callable[[], object], prepare: Callable[[], object]) -> float:
    prepare()
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def by_size(
    sizes: tuple[int, ...], measure: Callable[[int], Spread], effort: Effort, left_out: Callable[[int], None]
) -> dict[int, Spread]:
    """`measure` for each size, smallest first; `left_out` is told the first that might take too long."""
    times: dict[int, Spread] = {}
    for size in sizes:
        if times and times[last := max(times)].median * size / last > effort.longest:
            left_out(size)
            break
        times[size] = measure(size)
    return times
