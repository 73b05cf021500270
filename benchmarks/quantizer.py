"""GB/s of source that our quantizer reads in each mode and search, beside a plain read and mx.quantize.

python benchmarks/quantizer.py [--size MB] [--dtype BF16] [--threads 2] [--rounds 5] [--out FILE]

All in turn over the same random weights, the best of some rounds by the wall clock; then what compiling the
loops costs a machine that has not compiled them yet. Plain NumPy, the same arithmetic over whole arrays, was
as bit-exact and no faster than MLX: 0.45 GB/s in 4 bits.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from environments import machine

from voxbuild.tensors.check import Place, check_cast, check_quantized
from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.modes import MODES, Quantization
from voxbuild.tensors.quantize import KINDS, Rows, cast, is_finite
from voxrun.bench.tables import markdown, number
from voxrun.device import mx

COLUMNS = 3072
MLX_DTYPE = {"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}
MLX_SHARE = {"mxfp4": 16, "nvfp4": 16}
"""Of these modes MLX gets one row in so many: it is that much slower."""
GROUP = 64
"""Of the searches, and of what is compiled."""
PLACE = Place("benchmark", 0)
TITLES = [
    "",
    "bits",
    "group",
    "ours, GB/s",
    "read : ours",
    "with checks, GB/s",
    "mx.quantize, GB/s",
    "mx : ours",
]
COMPILED = {
    "an import of numba": "",
    "4 bits": "quantize_rows(rows, 'BF16', Quantization('affine', 4, 64))",
    "mxfp4": "quantize_rows(rows, 'BF16', Quantization('mxfp4', 4, 32))",
    "4 bits, mse": "search_rows(rows, 'BF16', Quantization('affine', 4, 64, 'mse'))",
}
COMPILE = """
import time
import numpy as np
begun = time.perf_counter()
from voxbuild.tensors.modes import Quantization
from voxbuild.tensors.quantize import quantize_rows
from voxbuild.tensors.search import search_rows
rows = np.zeros((1, 64), np.uint16)
{call}
seconds = time.perf_counter() - begun
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(seconds, 1024 * int(peak))
"""


def in_threads(work: Callable[[Rows], object], rows: Rows, pool: ThreadPoolExecutor, threads: int) -> None:
    """All rows, a part on each thread."""
    list(pool.map(work, np.array_split(rows, threads)))


def rounded(rows: Rows, dtype: str, how: Quantization, moments: Rows, checked: bool = False) -> None:
    """Round as a conversion does, with its checks or without."""
    parts = METHODS[how.search].quantize(rows, dtype, how, moments if METHODS[how.search].moments else None)
    if checked:
        check_cast(rows, dtype, rows, dtype, PLACE)
        check_quantized(rows, dtype, how, parts, PLACE)


def recast(rows: Rows, dtype: str, to: str, checked: bool = False) -> None:
    """Cast as a conversion does, with its check or without."""
    stored = cast(rows, dtype, to)
    if checked:
        check_cast(rows, dtype, stored, to, PLACE)


def by_mlx(array: mx.array, how: Quantization) -> None:
    """Quantize all rows on MLX's CPU device."""
    mx.eval(mx.quantize(array, how.group_size, how.bits, how.mode, stream=mx.cpu))


def gigabytes_per_second(work: Callable[[], object], nbytes: int, rounds: int) -> float:
    """The best of some rounds, after one that does not count."""
    took = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return nbytes / min(took[1:]) / 1e9


def lines(args: argparse.Namespace) -> Iterator[list[str]]:
    """The table's lines: a plain read, casts, plain rounding in each mode, searches."""
    item = 4 if args.dtype == "F32" else 2
    count = max(16, round(args.size * 1e6 / item / COLUMNS))
    rng = np.random.default_rng(0)
    weights = rng.normal(0, 0.02, (count, COLUMNS)).astype(np.float32)
    moments = rng.exponential(1, COLUMNS).astype(np.float32)
    rows, dtype = cast(weights, "F32", args.dtype), args.dtype
    with ThreadPoolExecutor(args.threads) as pool:

        def speed(work: Callable[..., object], *given: object, **named: object) -> float:
            part = partial(
                in_threads, lambda some: work(some, dtype, *given, **named), rows, pool, args.threads
            )
            return gigabytes_per_second(part, rows.nbytes, args.rounds)

        def both(work: Callable[..., None], *given: object) -> list[str]:
            read, ours = speed(is_finite), speed(work, *given)
            return [number(ours), number(ours / read), number(speed(work, *given, checked=True))]

        yield ["a plain read", "", "", number(speed(is_finite)), "1", "", "", ""]
        for to in KINDS:
            if to != dtype:
                yield [f"{dtype} to {to}", "", "", *both(recast, to), "", ""]
        plain = [Quantization(n, b, g) for n, m in MODES.items() for b in m.bits for g in m.group_sizes]
        for how in plain:
            some = mx.array(weights[: count // MLX_SHARE.get(how.mode, 1)]).astype(MLX_DTYPE[dtype])
            mx.eval(some)
            ours = both(rounded, how, moments)
            other = gigabytes_per_second(partial(by_mlx, some, how), some.nbytes, args.rounds)
            ratio = number(float(ours[0].replace(",", "")) / other)
            yield [how.mode, str(how.bits), str(how.group_size), *ours, number(other), ratio]
        for search in ("mse", "activation"):
            for bits in MODES["affine"].bits:
                how = Quantization("affine", bits, GROUP, search)
                yield [search, str(bits), str(GROUP), *both(rounded, how, moments), "", ""]


def compiling() -> Iterator[list[str]]:
    """What a process takes that compiles, and one that finds the machine code on the disk; on Linux."""
    for name, call in COMPILED.items():
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, "-c", COMPILE.format(call=call)]
            cells = []
            for _ in range(2):
                environment = os.environ | {"NUMBA_CACHE_DIR": cache}
                said = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
                seconds, peak = map(float, said.stdout.split())
                cells += [number(seconds), number(peak / 1e6)]
            yield [name, *cells]


def document(args: argparse.Namespace) -> str:
    """Both tables, and how to read them."""
    command = "python benchmarks/quantizer.py"
    return "\n\n".join(
        [
            "# The quantizer alone",
            f"`{command}`: {args.size:g} MB of {args.dtype}, {args.threads} thread(s), the best of"
            f" {args.rounds} rounds. Machine: {machine()}.",
            "*A plain read*: a loop that only finds the greatest magnitude of the same rows. *read : ours*\n"
            "is measured in turn with it. *With checks*: that all is finite, and near its source.",
            markdown(TITLES, list(lines(args))),
            "## Compiling",
            "Seconds and peak memory of a process that quantizes one row, from its imports on. The first\n"
            "on a machine compiles, later ones read the machine code from the disk.",
            markdown(["", "first, s", "first, MB", "later, s", "later, MB"], list(compiling())),
        ]
    )


def main() -> None:
    """Print both tables, and write them if asked to."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--size", type=float, default=8, help="MB of source (default: %(default)s)")
    p.add_argument("--dtype", choices=MLX_DTYPE, default="BF16")
    p.add_argument("--threads", type=int, default=1, help="ours only (default: %(default)s)")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--out", type=Path, help="write the Markdown there, too")
    args = p.parse_args()
    text = document(args)
    print(text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
