"""Passes of a model on a CPU, and what limits them: reading memory, unpacking, products in float32.

`python -m benchmarks.workers.kernels MODEL [--limits]` prints a JSON object of seconds. Without `--limits`
any checkout's voxrun can be measured, by PYTHONPATH.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voxrun.model.load import load_model
from voxrun.parallel import in_parts, one_blas_thread

DECODED, ENCODED = (1, 2, 4, 8, 16, 64), (64, 256)
PAST = 750
"""Encoder frames before the measured ones: the whole window."""
REPEAT = 3
ALL_CORES = 2**40


def seconds(function: Callable[[], Any]) -> float:
    """The least of a few times."""
    times = []
    for _ in range(REPEAT):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def passes(model: Any) -> dict[str, float]:
    """Decoder passes with the head, and encoder passes, by rows."""
    random, dim, found = np.random.default_rng(0), model.config.decoder.dim, {}
    gains, caches, state = model.gains(6), model.decoder_caches(), model.encoder_state()

    def decode(n: int) -> None:
        audio = random.normal(size=(1, n, dim)).astype(np.float32)
        model.language_model.logits(model.decode(np.arange(n), audio, gains, caches))

    def encode(n: int) -> None:
        model.encode(random.normal(size=(2 * n, model.config.audio.num_mel_bins)).astype(np.float32), state)

    decode(40)  # a prompt
    for n in DECODED:
        found[f"decode_{n}"] = seconds(lambda n=n: decode(n))
    encode(PAST // 4 * 4)
    for n in ENCODED:
        found[f"encode_{n}"] = seconds(lambda n=n: encode(n))
    return found


def limits(model: Any) -> dict[str, float]:
    """Reading the decoder's weights, unpacking them, their products with 16 rows, the encoder's products."""
    matrices = {path: m._stored for path, m in model.named_modules() if hasattr(m, "_stored")}
    decoder = [m for path, m in matrices.items() if path.startswith("language_model") and "ada_" not in path]
    encoder = [m for path, m in matrices.items() if not path.startswith("language_model")]
    size = sum(m.packed.nbytes + 2 * m.scales.nbytes for m in decoder)
    found = {"bytes": size, "read": size / bandwidth(), "unpack": seconds(lambda: unpack(decoder))}
    found["sgemm_16"] = products(decoder, 16)
    return found | {f"encoder_sgemm_{n}": products(encoder, n) for n in ENCODED}


def bandwidth() -> float:
    """Bytes a second that all cores together read of a large array."""
    from numba import njit

    @njit(nogil=True)
    def read(words):  # type: ignore
        total = words[0]
        for word in words:
            total += word
        return total

    words = np.ones(2**27, np.uint64)
    read(words[:1])
    return float(
        words.nbytes / seconds(lambda: in_parts(lambda a, b: read(words[a:b]), len(words), ALL_CORES))
    )


def unpack(matrices: list[Any]) -> None:
    """All weights, in tiles that stay in a core's cache."""
    for matrix in matrices:

        def part(first: int, last: int, matrix: Any = matrix) -> None:
            tile = np.empty((64, matrix.columns), np.float32)
            for start in range(first, last, len(tile)):
                matrix._kernels.unpack(*matrix._stored, start, tile[: last - start])

        in_parts(part, matrix.rows, ALL_CORES)


def products(matrices: list[Any], n: int) -> float:
    """Seconds of the BLAS for x [n, columns] and float32 weights, by its faster order of factors."""
    return sum(sgemm(matrix.rows, matrix.columns, n) for matrix in matrices)


KNOWN = dict[tuple[int, int, int], float]()


def sgemm(rows: int, columns: int, n: int) -> float:
    """Seconds of one product."""
    if (rows, columns, n) not in KNOWN:
        cut = min(rows, 16384)  # of the head, an eighth: as float32 it would take gigabytes
        weights, x = np.ones((cut, columns), np.float32), np.ones((n, columns), np.float32)
        left, right = np.empty((cut, n), np.float32), np.empty((n, cut), np.float32)

        def as_left(a: int, b: int) -> None:
            np.matmul(weights[a:b], x.T, out=left[a:b])

        def as_right(a: int, b: int) -> None:
            np.matmul(x, weights[a:b].T, out=right[:, a:b])

        orders = (as_left, as_right)
        times = [seconds(lambda part=part: in_parts(part, cut, ALL_CORES, blas=True)) for part in orders]
        KNOWN[rows, columns, n] = min(times) * rows / cut
    return KNOWN[rows, columns, n]


def main() -> None:
    """Print what was measured."""
    with one_blas_thread():
        model = load_model(Path(sys.argv[1]))
        print(json.dumps(limits(model) if "--limits" in sys.argv else passes(model)))


if __name__ == "__main__":
    main()
