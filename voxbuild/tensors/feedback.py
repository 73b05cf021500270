"""Affine quantization that pushes the error of each column onto the columns behind it (GPTQ), then refines it.

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

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numba import uint64

from .factor import NotPositiveError, factor
from .kernels import BFLOAT16, compiled, pack_rows
from .modes import Quantization
from .quantize import KINDS, cast, quantize_rows
from .second_moments import HEAD
from .search import (
    BEST_BIAS,
    BEST_SCALE,
    CUT,
    FIT_ROUNDS,
    LANE,
    LANES,
    LEVELS,
    RANGE_COUNTS_BELOW,
    ROUND,
    STATE,
    ZERO,
    nearest,
    round_stored,
    search_lanes,
)

Array = np.typing.NDArray[Any]
DAMPING, HEAD_DAMPING = 0.1, 0.3
"""Shares of the mean diagonal that are added to it: of a matrix's moments, and of the output head's."""
SWEEPS = 1
"""Times that steps 2 and 3 go over all groups."""
ONE, FOUR = uint64(1), uint64(4)


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
    mean = wide.diagonal().mean()
    if not (np.isfinite(mean) and mean > 0):
        raise NotPositiveError("no input, or not finite")
    wide /= mean
    wide[np.diag_indices(len(wide))] += damping
    feedback, pivots = factor(wide)
    return Curvature(_by_groups(wide, group_size), _by_groups(feedback, group_size), pivots)


def _by_groups(matrix: Array, size: int) -> Array:
    n = len(matrix)
    return np.ascontiguousarray(matrix.astype(np.float32).reshape(n, n // size, size).swapaxes(0, 1))


def round_rows(rows: Array, dtype: str, how: Quantization, cost: Curvature) -> dict[str, Array]:
    """Rows [n, columns] in storage form -> weight uint32 [n, columns * bits / 32], scales and biases."""
    n, columns = rows.shape
    values = np.ascontiguousarray(cast(rows, dtype, "F32"))
    plain = quantize_rows(rows, dtype, how)
    groups = (n, columns // how.group_size)
    codes = np.empty((n, columns), np.uint8)
    scales, biases = np.empty(groups, np.float32), np.empty(groups, np.float32)
    plain_codes = unpacked(plain["weight"], how.bits)
    plain_lines = [cast(plain[leaf], dtype, "F32") for leaf in ("scales", "biases")]
    errors = np.empty((n, 2))
    with np.errstate(all="ignore"):
        round_blocks(
            values,
            cost.second,
            cost.feedback,
            (cost.pivots / cost.pivots.mean()).astype(np.float32),
            cost.pivots,
            KINDS[dtype],
            how.bits,
            np.float32(CUT / 2**how.bits),
            LEVELS if how.bits < RANGE_COUNTS_BELOW else 0,
            FIT_ROUNDS,
            SWEEPS,
            plain_codes,
            *plain_lines,
            codes,
            scales,
            biases,
            errors,
        )
    weight = np.empty((n, columns * how.bits // 32), np.uint32)
    pack_rows(codes, how.bits, weight)
    parts = {"weight": weight, "scales": cast(scales, "F32", dtype), "biases": cast(biases, "F32", dtype)}
    worse = ~(errors[:, 0] < errors[:, 1])
    for leaf, part in parts.items():
        part[worse] = plain[leaf][worse]
    return parts


def unpacked(weight: Array, bits: int) -> Array:
    """Packed codes [n, words] -> uint8 [n, columns]."""
    raw = np.unpackbits(np.ascontiguousarray(weight).view(np.uint8), axis=1, bitorder="little")
    each = raw.reshape(len(weight), -1, bits)
    return np.packbits(each, axis=2, bitorder="little")[:, :, 0]


@compiled
def add_products(sums, matrix, errors, first, last):  # type: ignore
    """sums[j, lane] += matrix[k, j] * errors[k, lane] for `first` <= k < `last`, k by k."""
    for k in range(first, last, FOUR):
        row = k * LANE
        for j in range(uint64(matrix.shape[1])):
            a, b = matrix[k, j], matrix[k + uint64(1), j]
            c, d = matrix[k + uint64(2), j], matrix[k + uint64(3), j]
            for i in range(LANE):
                x = sums[j * LANE + i] + a * errors[row + i]
                x += b * errors[row + LANE + i]
                x += c * errors[row + uint64(2 * LANES) + i]
                sums[j * LANE + i] = x + d * errors[row + uint64(3 * LANES) + i]


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
def total_error(values, feedback, pivots, errors, sums, totals):  # type: ignore
    """Each lane's e H e^T."""
    n, size = uint64(feedback.shape[1]), uint64(feedback.shape[2])
    for i in range(LANE):
        totals[i] = 0.0
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


@compiled
def forward(values, feedback, weights, kind, width, step, levels, rounds, state, lanes, errors, sums):  # type: ignore
    """Step 1 for LANES rows: their codes, scales and biases in `lanes`, and their errors."""
    codes, scales, biases, current, losses = lanes
    size, bits, top = uint64(feedback.shape[2]), state.view(np.uint32), np.float32((1 << width) - 1)
    of_weights = np.empty(size * LANE, np.float32)
    for group in range(uint64(feedback.shape[0])):
        start, matrix = group * size, feedback[group]
        for j in range(size * LANE):
            sums[j] = values[start * LANE + j]
        add_products(sums, matrix, errors, uint64(0), start)
        expected(sums, values, matrix, start, size, current, losses)
        for j in range(size):
            for i in range(LANE):
                of_weights[j * LANE + i] = weights[start + j]
        search_lanes(current, of_weights, state, bits, kind, top, step, levels, rounds)
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
def better_codes(second, start, size, group, top, lanes, errors, slopes):  # type: ignore
    """Step 2: one code after the other, where that lowers the error; `slopes` are the group's of e H."""
    codes, scales, biases, current, losses = lanes
    for j in range(size):
        at, own = (start + j) * LANE, second[start + j, j]
        for i in range(LANE):
            scale = scales[group * LANE + i]
            by = slopes[j * LANE + i] / (own * scale)
            code = codes[at + i] + by
            code = code if code > ZERO else ZERO
            code = code if code < top else top
            code = (code + ROUND) - ROUND
            change = (code - codes[at + i]) * scale
            gain = change * (np.float32(2) * slopes[j * LANE + i] - change * own)
            change = change if gain > ZERO else ZERO
            codes[at + i] = code if gain > ZERO else codes[at + i]
            losses[i] = change
            errors[at + i] -= change
        for k in range(size):
            h = second[start + k, j]
            for i in range(LANE):
                slopes[k * LANE + i] -= h * losses[i]


@compiled
def better_line(second, start, size, group, kind, lanes, errors, slopes, work, state):  # type: ignore
    """Step 3: the scale and bias of least error for the group's codes, if they lower it when rounded."""
    codes, scales, biases, current, losses = lanes
    bits = state.view(np.uint32)
    for i in range(LANE):
        for row in range(uint64(5)):
            work[row * LANE + i] = ZERO
    ones = np.float32(0)
    for j in range(size):
        one = ZERO
        for i in range(LANE):
            current[j * LANE + i] = ZERO
        for k in range(size):
            h = second[start + k, j]
            one += h
            for i in range(LANE):
                current[j * LANE + i] += h * codes[(start + k) * LANE + i]
        ones += one
        for i in range(LANE):
            code = codes[(start + j) * LANE + i]
            work[i] += code * current[j * LANE + i]  # q H q
            work[LANE + i] += current[j * LANE + i]  # q H 1
            work[uint64(2 * LANES) + i] += code * slopes[j * LANE + i]
            work[uint64(3 * LANES) + i] += slopes[j * LANE + i]
        losses[j] = one  # H 1 of this column
    for i in range(LANE):
        qq, q1 = work[i], work[LANE + i]
        qr, r = work[uint64(2 * LANES) + i], work[uint64(3 * LANES) + i]
        spread = qq * ones - q1 * q1
        by = (qr * ones - r * q1) / spread
        state[i] = scales[group * LANE + i] + by
    round_stored(state, bits, uint64(0), kind)
    for i in range(LANE):
        by = state[i] - scales[group * LANE + i]
        state[LANE + i] = (
            biases[group * LANE + i] + (work[uint64(3 * LANES) + i] - by * work[LANE + i]) / ones
        )
    round_stored(state, bits, LANE, kind)
    for i in range(LANE):
        by, up = state[i] - scales[group * LANE + i], state[LANE + i] - biases[group * LANE + i]
        qr, r = work[uint64(2 * LANES) + i], work[uint64(3 * LANES) + i]
        gain = np.float32(2) * (by * qr + up * r)
        gain -= by * by * work[i] + np.float32(2) * by * up * work[LANE + i] + up * up * ones
        better = gain > ZERO
        work[i] = by if better else ZERO
        work[LANE + i] = up if better else ZERO
        scales[group * LANE + i] = state[i] if better else scales[group * LANE + i]
        biases[group * LANE + i] = state[LANE + i] if better else biases[group * LANE + i]
    for j in range(size):
        for i in range(LANE):
            by, up = work[i], work[LANE + i]
            errors[(start + j) * LANE + i] -= by * codes[(start + j) * LANE + i] + up
            slopes[j * LANE + i] -= by * current[j * LANE + i] + up * losses[j]


@compiled
def refine(second, kind, width, lanes, errors, slopes, work, state):  # type: ignore
    """Steps 2 and 3 for LANES rows, one group after the other."""
    size, top = uint64(second.shape[2]), np.float32((1 << width) - 1)
    for group in range(uint64(second.shape[0])):
        start = group * size
        for j in range(size * LANE):
            slopes[j] = ZERO
        add_products(slopes, second[group], errors, uint64(0), uint64(second.shape[1]))
        better_codes(second[group], start, size, group, top, lanes, errors, slopes)
        better_line(second[group], start, size, group, kind, lanes, errors, slopes, work, state)
        better_codes(second[group], start, size, group, top, lanes, errors, slopes)


@compiled
def round_blocks(  # type: ignore
    rows,
    second,
    feedback,
    weights,
    pivots,
    kind,
    width,
    step,
    levels,
    rounds,
    sweeps,
    plain_codes,
    plain_scales,
    plain_biases,
    out_codes,
    out_scales,
    out_biases,
    out_errors,
):
    """Rows [n, columns] -> codes, scales and biases, and the errors of these and of plain rounding [n, 2]."""
    n, columns = uint64(rows.shape[0]), uint64(rows.shape[1])
    groups, size = uint64(second.shape[0]), uint64(second.shape[2])
    values, errors = np.empty(columns * LANE, np.float32), np.empty(columns * LANE, np.float32)
    codes = np.empty(columns * LANE, np.float32)
    scales, biases = np.empty(groups * LANE, np.float32), np.empty(groups * LANE, np.float32)
    lines = max(size, uint64(5))
    current, losses = np.empty(size * LANE, np.float32), np.empty(max(size, LANE) * LANE, np.float32)
    sums, work = np.empty(size * LANE, np.float32), np.empty(lines * LANE, np.float32)
    state, totals = np.empty(STATE, np.float32), np.empty(LANE, np.float64)
    lanes = codes, scales, biases, current, losses
    for first in range(uint64(0), n, LANE):
        for i in range(LANE):
            row = min(first + i, n - ONE)  # lanes beyond the end repeat the last row
            for j in range(columns):
                values[j * LANE + i] = rows[row, j]
                at = (
                    plain_scales[row, j // size] * np.float32(plain_codes[row, j])
                    + plain_biases[row, j // size]
                )
                errors[j * LANE + i] = rows[row, j] - at
        total_error(values, feedback, pivots, errors, sums, totals)
        for i in range(min(LANE, n - first)):
            out_errors[first + i, 1] = totals[i]
        forward(values, feedback, weights, kind, width, step, levels, rounds, state, lanes, errors, sums)
        for _ in range(sweeps):
            refine(second, kind, width, lanes, errors, sums, work, state)
        for j in range(columns):
            for i in range(LANE):
                g = (j // size) * LANE + i
                errors[j * LANE + i] = values[j * LANE + i] - (scales[g] * codes[j * LANE + i] + biases[g])
        total_error(values, feedback, pivots, errors, sums, totals)
        for i in range(min(LANE, n - first)):
            row = first + i
            out_errors[row, 0] = totals[i]
            for j in range(columns):
                out_codes[row, j] = np.uint8(codes[j * LANE + i])
            for group in range(groups):
                out_scales[row, group] = scales[group * LANE + i]
                out_biases[row, group] = biases[group * LANE + i]
