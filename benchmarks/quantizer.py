"""GB/s of source that our quantizer reads in each mode and width, beside mx.quantize's.

python benchmarks/quantizer.py [--size MB] [--dtype BF16] [--threads 2] [--rounds 5]

Both in turn over the same random weights, the best of some rounds by the wall clock. Plain NumPy, the same
arithmetic over whole arrays, was as bit-exact and no faster than MLX: 0.45 GB/s in 4 bits, where a row at a
time compiled by numba read 2 to 3.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from voxbuild.tensors.modes import MODES, Quantization
from voxbuild.tensors.quantize import Rows, cast, quantize_rows
from voxrun.bench.tables import markdown, number
from voxrun.device import mx

COLUMNS = 3072
MLX_DTYPE = {"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}
MLX_SHARE = {"mxfp4": 16, "nvfp4": 16}
"""Of these modes MLX gets one row in so many: it is that much slower."""


def by_us(rows: Rows, dtype: str, how: Quantization, pool: ThreadPoolExecutor, threads: int) -> None:
    """Quantize all rows, a part on each thread."""
    list(pool.map(lambda part: quantize_rows(part, dtype, how), np.array_split(rows, threads)))


def by_mlx(array: mx.array, how: Quantization) -> None:
    """Quantize all rows on MLX's CPU device."""
    mx.eval(mx.quantize(array, how.group_size, how.bits, how.mode, stream=mx.cpu))


def gigabytes_per_second(quantize: Callable[[], None], nbytes: int, rounds: int) -> float:
    """The best of some rounds, after one that does not count."""
    took = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        quantize()
        took.append(time.perf_counter() - start)
    return nbytes / min(took[1:]) / 1e9


def main() -> None:
    """Print a table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", type=float, default=8, help="MB of source (default: %(default)s)")
    p.add_argument("--dtype", choices=MLX_DTYPE, default="BF16")
    p.add_argument("--threads", type=int, default=1, help="ours only (default: %(default)s)")
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()
    item = 4 if args.dtype == "F32" else 2
    count = max(16, round(args.size * 1e6 / item / COLUMNS))
    weights = np.random.default_rng(0).normal(0, 0.02, (count, COLUMNS)).astype(np.float32)
    rows = cast(weights, "F32", args.dtype)
    lines = []
    with ThreadPoolExecutor(args.threads) as pool:
        for how in [Quantization(n, b, g) for n, m in MODES.items() for b in m.bits for g in m.group_sizes]:
            some = mx.array(weights[: count // MLX_SHARE.get(how.mode, 1)]).astype(MLX_DTYPE[args.dtype])
            mx.eval(some)
            ours = partial(by_us, rows, args.dtype, how, pool, args.threads)
            speed = gigabytes_per_second(ours, rows.nbytes, args.rounds)
            other = gigabytes_per_second(partial(by_mlx, some, how), some.nbytes, args.rounds)
            lines.append([how.mode, str(how.bits), str(how.group_size), number(speed), number(other)])
            lines[-1].append(number(speed / other))
    print(markdown(["mode", "bits", "group", "ours, GB/s", "mx.quantize, GB/s", "ratio"], lines))


if __name__ == "__main__":
    main()
