"""How fast this device reads its memory, measured with one long reduction."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from voxrun.device import mx, on_cpu
from voxrun.parallel import in_parts

from .bandwidths import Bandwidth
from .timing import Effort, timed

BUFFER = 2**30
"""Bytes to read: more than any cache of a processor holds."""
READS, SECONDS = 30, 1.0
"""Of which the median counts, as of passes."""
SHARE = 0.125
"""Of the memory, at most."""


def measured_bandwidth(effort: Effort, memory: int) -> Bandwidth:
    """Of a large buffer that is read often, on all cores or on the GPU. In MLX's thread."""
    n = int(min(BUFFER, SHARE * memory)) // 8
    read = _read_on_cores(n) if on_cpu() else _read_on_gpu(n)
    often = replace(effort, samples=READS, seconds=SECONDS)
    return Bandwidth(8 * n / timed(read, often).median / 1e9, "measured here")


def _read_on_cores(n: int) -> Callable[[], object]:
    numbers = np.ones(n, np.int64)

    def part(first: int, last: int) -> None:
        np.bitwise_or.reduce(numbers[first:last])  # of NumPy's reductions the one nearest to memory's speed

    return lambda: in_parts(part, n, work=2**40)


def _read_on_gpu(n: int) -> Callable[[], object]:
    numbers = mx.ones(2 * n, mx.float32)
    mx.eval(numbers)
    return lambda: mx.eval(numbers.max())
