"""Affine quantization that pushes each column's error onto the columns behind it (GPTQ), then refines it.

H is the second moment of a matrix's inputs, damped, so e H e^T is the squared error of an output whose row of
weights is off by e. Three steps make it small, each in compiled loops over LANES rows side by side:

1. Columns from left to right. Each group's scale and bias are searched for its current weights, a column
   weighted by what an error in it costs once the columns behind it have made up for it as well as they can;
   then each column is rounded after adding what the columns before it lost (`factor`).
2. For each group, codes that lower the error one by one, all others fixed.
3. For these codes, the group's scale and bias of least error, rounded one after the other; then codes again.

A step keeps a change only if the error falls. A row that is no better than by plain rounding is rounded
plainly. All arithmetic is IEEE float32 or float64 in a fixed order, and a row's result does not depend on
other rows: the same H gives the same bytes on any machine, in any chunks, with any number of threads.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import uint64

from .factor import NotPositiveError, factor
from .kernels import compiled, pack_rows
from .modes import Quantization
from .quantize import KINDS, cast, quantize_rows
from .refine import add_products, refine
from .search import (
    BEST_BIAS,
    BEST_SCALE,
    LANE,
    LANES,
    STATE,
    nearest,
    search_lanes,
    search_settings,
)
from .second_moments import HEAD

Array = np.typing.NDArray[Any]
DAMPING, HEAD_DAMPING = 0.1, 0.3
"""Shares of the mean diagonal that are added to it: of a matrix's moments, and of the output head's."""
SWEEPS = 3
"""Times that steps 2 and 3 go over all groups."""
OPERATIONS = 3 + 2 * SWEEPS
"""Times n^2 operations for a row of n columns: step 1, the sweeps, and the errors of the row and of plain."""
ONE = uint64(1)


def damping_of(module: str) -> float:
    """How much the moments of a module's inputs are damped."""
    return HEAD_DAMPING if module == HEAD else DAMPING


@dataclass(frozen=True)
class Curvature:
    """What an error of a row costs: H, damped, and its factors, for one group size."""

    second: Array
    """H float32 [groups, columns, group size]: for each group its columns of H."""
    feedback: Array
    """V float32 [groups, columns, group size]."""
    pivots: Array
    """D float64 [columns]."""


def curvature(moments: Array, damping: float, group_size: int) -> Curvature:
    """Moments [columns, columns], symmetric -> their curvature. Raises NotPositiveError.

    `damping` is a share of the mean of the diagonal that is added to it: few recordings say little about
    directions in which they have no input.
    """
    wide = moments.astype(np.float64)
    if not np.isfinite(wide).all() or (mean := _mean(wide.diagonal())) <= 0:
        raise NotPositiveError("no input, or not finite")
    wide /= mean
    wide[np.diag_indices(len(wide))] += damping
    feedback, pivots = factor(wide)
    return Curvature(_by_groups(wide, group_size), _by_groups(feedback, group_size), pivots)


def _mean(values: Array) -> float:
    """The mean, rounded once, whatever order the machine's instructions add in."""
    return math.fsum(values) / len(values)


def _by_groups(matrix: Array, size: int) -> Array:
    n = len(matrix)
    return np.ascontiguousarray(matrix.astype(np.float32).reshape(n, n // size, size).swapaxes(0, 1))


def round_rows(rows: Array, dtype: str, how: Quantization, cost: Curvature) -> dict[str, Array]:
    """Rows [n, columns] in storage form -> weight uint32 [n, columns * bits / 32], scales and biases."""
    n, columns = rows.shape
    values = np.ascontiguousarray(cast(rows, dtype, "F32"))
    groups = (n, columns // how.group_size)
    codes = np.empty((n, columns), np.uint8)
    scales, biases = np.empty(groups, np.float32), np.empty(groups, np.float32)
    round_blocks(
        values,
        cost.second,
        cost.feedback,
        (cost.pivots / _mean(cost.pivots)).astype(np.float32),
        (KINDS[dtype], how.bits, *search_settings(how.bits)),
        codes,
        scales,
        biases,
    )
    weight = np.empty((n, columns * how.bits // 32), np.uint32)
    pack_rows(codes, how.bits, weight)
    parts = {"weight": weight, "scales": cast(scales, "F32", dtype), "biases": cast(biases, "F32", dtype)}
    plain = quantize_rows(rows, dtype, how)
    better = errors_of(values, dtype, how, parts, cost) < errors_of(values, dtype, how, plain, cost)
    for leaf, part in parts.items():
        part[~better] = plain[leaf][~better]
    return parts


def errors_of(
    values: Array, dtype: str, how: Quantization, parts: Mapping[str, Array], cost: Curvature
) -> Array:
    """E H e^T of each row, float64 [n]: `values` float32 [n, columns] less what the parts say."""
    errors, size = np.empty(len(values)), how.group_size
    codes = unpacked(parts["weight"], how.bits).astype(np.float32)
    scales, biases = (np.repeat(cast(parts[leaf], dtype, "F32"), size, 1) for leaf in ("scales", "biases"))
    with np.errstate(all="ignore"):
        row_errors(values - (scales * codes + biases), cost.feedback, cost.pivots, errors)
    return errors


def unpacked(weight: Array, bits: int) -> Array:
    """Packed codes [n, words] -> uint8 [n, columns]."""
    raw = np.unpackbits(np.ascontiguousarray(weight).view(np.uint8), axis=1, bitorder="little")
    each = raw.reshape(len(weight), -1, bits)
    return np.packbits(each, axis=2, bitorder="little")[:, :, 0]


@compiled
def propagate(sums, matrix, errors, start, j):  # type: ignore
    """Add to the column `start + j` what the group's columns before it lost."""
    for k in range(j):
        v = matrix[start + k, j]
        for i in range(LANE):
            sums[j * LANE + i] += v * errors[(start + k) * LANE + i]


@compiled
def expected(sums, values, matrix, start, size, current, errors):  # type: ignore
    """The group's weights before it is rounded, after the columns before it."""
    for j in range(size):
        for i in range(LANE):
            current[j * LANE + i] = sums[j * LANE + i]
        for k in range(j):
            v = matrix[start + k, j]
            for i in range(LANE):
                current[j * LANE + i] += v * errors[k * LANE + i]
        for i in range(LANE):
            errors[j * LANE + i] = values[(start + j) * LANE + i] - current[j * LANE + i]


@compiled
def row_errors(differences, feedback, pivots, out):  # type: ignore
    """E H e^T of each row of differences [n, columns]."""
    n, size = uint64(differences.shape[0]), uint64(feedback.shape[2])
    errors, sums = np.empty(differences.shape[1] * LANES, np.float32), np.empty(size * LANE, np.float32)
    totals = np.empty(LANE, np.float64)
    for first in range(uint64(0), n, LANE):
        side_by_side(differences, first, errors)
        totals[:] = 0.0
        for group in range(uint64(feedback.shape[0])):
            start = group * size
            for j in range(size * LANE):
                sums[j] = errors[start * LANE + j]
            add_products(sums, feedback[group], errors, uint64(0), start)
            for j in range(size):
                propagate(sums, feedback[group], errors, start, j)
                for i in range(LANE):
                    x = np.float64(sums[j * LANE + i])
                    totals[i] += pivots[start + j] * x * x
        for i in range(min(LANE, n - first)):
            out[first + i] = totals[i]


@compiled
def side_by_side(rows, first, lanes):  # type: ignore
    """The rows from `first` on, [columns * LANES]; lanes beyond the end repeat the last row."""
    n, columns = uint64(rows.shape[0]), uint64(rows.shape[1])
    for i in range(LANE):
        row = min(first + i, n - ONE)
        for j in range(columns):
            lanes[j * LANE + i] = rows[row, j]


@compiled
def forward(values, feedback, weights, settings, state, lanes, errors, sums):  # type: ignore
    """Step 1 for LANES rows: their codes, scales and biases in `lanes`, and their errors."""
    codes, scales, biases, current, losses = lanes
    size, top = uint64(feedback.shape[2]), np.float32((1 << settings[1]) - 1)
    for group in range(uint64(feedback.shape[0])):
        start, matrix = group * size, feedback[group]
        for j in range(size * LANE):
            sums[j] = values[start * LANE + j]
        add_products(sums, matrix, errors, uint64(0), start)
        expected(sums, values, matrix, start, size, current, losses)
        search_lanes(current, weights[start : start + size], state, settings)
        for i in range(LANE):
            scales[group * LANE + i] = state[BEST_SCALE + i]
            biases[group * LANE + i] = state[BEST_BIAS + i]
        for j in range(size):
            propagate(sums, matrix, errors, start, j)
            at = (start + j) * LANE
            for i in range(LANE):
                scale, bias = state[BEST_SCALE + i], state[BEST_BIAS + i]
                code = nearest(sums[j * LANE + i], bias, np.float32(1) / scale, top)
                codes[at + i] = code
                errors[at + i] = values[at + i] - (scale * code + bias)


@compiled
def round_blocks(rows, second, feedback, weights, settings, out_codes, out_scales, out_biases):  # type: ignore
    """Rows [n, columns] -> their codes [n, columns], scales and biases [n, groups]."""
    n, columns = uint64(rows.shape[0]), uint64(rows.shape[1])
    groups, size = uint64(second.shape[0]), uint64(second.shape[2])
    values, errors = np.empty(columns * LANE, np.float32), np.empty(columns * LANE, np.float32)
    codes = np.empty(columns * LANE, np.float32)
    scales, biases = np.empty(groups * LANE, np.float32), np.empty(groups * LANE, np.float32)
    current, losses = np.empty(size * LANE, np.float32), np.empty(size * LANE, np.float32)
    sums, work = np.empty(size * LANE, np.float32), np.empty(uint64(4) * LANE, np.float32)
    state = np.empty(STATE, np.float32)
    lanes = codes, scales, biases, current, losses
    for first in range(uint64(0), n, LANE):
        side_by_side(rows, first, values)
        forward(values, feedback, weights, settings, state, lanes, errors, sums)
        for _ in range(SWEEPS):
            refine(second, settings[0], settings[1], lanes, errors, sums, work, state)
        for i in range(min(LANE, n - first)):
            row = first + i
            for j in range(columns):
                out_codes[row, j] = np.uint8(codes[j * LANE + i])
            for group in range(groups):
                out_scales[row, group] = scales[group * LANE + i]
                out_biases[row, group] = biases[group * LANE + i]
