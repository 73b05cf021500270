"""Matrices behind others that are quantized already: what they are rounded towards, and what they give.

With the inputs x of the unquantized and xq of the quantized network, the matrix W* of the least error
E |W* xq - W x|^2, damped towards W, is W C'^T H'^-1, where H' = E xq xq^T + l and C' = E xq x^T + l. A matrix
is rounded towards (1 - a) W + a W*: with little audio W* follows the accidents of the recordings.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from .feedback import unpacked
from .modes import Quantization
from .quantize import Rows, cast
from .second_moments import Matrix

SHORT = 60.0
"""Seconds of audio below which the target is half way between W and W*."""


def share_of(seconds: float) -> float:
    """How far the target goes from W to W*, after so many seconds of audio."""
    return 0.5 if seconds < SHORT else 1.0


def towards(moments: Matrix, cross: Matrix, damping: float, share: float) -> Matrix:
    """H and C [n, n] -> the matrix, float32 [n, n], with which rows of W are multiplied to give the target's.

    LAPACK solves it, so the bits depend on the machine. Raises ValueError without a finite solution.
    """
    ridge = damping * moments.diagonal().mean()
    try:
        with _larger_diagonal(moments, ridge), _larger_diagonal(cross, ridge):
            best = np.linalg.solve(moments, cross)
    except np.linalg.LinAlgError as error:
        raise ValueError(str(error)) from error
    best *= share
    best[np.diag_indices(len(best))] += 1 - share
    found: Matrix = best.T.astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError("the moments have no finite solution")
    return found


@contextmanager
def _larger_diagonal(matrix: Matrix, more: float) -> Iterator[None]:
    """Meanwhile `more` is added to the diagonal: the largest copies would take 680 MB each."""
    places = np.diag_indices(len(matrix))
    before = matrix[places]
    matrix[places] += more
    try:
        yield
    finally:
        matrix[places] = before


def dequantized(parts: Sequence[Rows], dtype: str, how: Quantization) -> Matrix:
    """The weight, scales and biases of affine rows [n, columns] -> float32 [n, columns]."""
    weight, scales, biases = parts
    codes = unpacked(weight, how.bits).astype(np.float32)
    scale, bias = (np.repeat(cast(part, dtype, "F32"), how.group_size, axis=1) for part in (scales, biases))
    values: Matrix = scale * codes + bias
    return values
