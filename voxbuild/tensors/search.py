"""Affine quantization with a search for scales and biases: the same format, less error.

A loader computes `code * scale + bias` with the stored scale and bias. So each candidate is rounded to the
stored dtype, gets the nearest code for every weight, and is judged by its squared error. Plain rounding's
scale and bias are the first candidate, so no group gets worse.

The loops handle LANES groups side by side, without computing across them, in IEEE float32: the bytes do not
depend on vector instructions, threads or chunks of rows. All lanes' numbers are in one array at literal
offsets, and indices are unsigned, so that the loops vectorize.
"""

from typing import Any

import numpy as np
from numba import njit, uint64

from .kernels import BFLOAT16, EPSILON, FLOAT16, compiled, pack_rows
from .modes import Quantization
from .moments import Array
from .quantize import KINDS, cast

CUT = 0.8
"""First guess of the cut at either end of a group's range, in steps from code to code."""
LEVELS = 2
"""Grids of three by three cuts around the best ones so far: CUT apart, then half of it, ..."""
FIT_ROUNDS = 3
"""Rounds of least squares for given codes, then nearest codes for the new scale and bias."""
RANGE_COUNTS_BELOW = 8
"""With this many bits or more, cutting the range gains nothing: the error is that of rounding the scale."""

LANES = 32
LANE, ONE_GROUP, TWO, FIVE = uint64(LANES), uint64(1), uint64(2), uint64(5)
(SCALE, BIAS, CUT_LOW, CUT_HIGH, ERROR) = (uint64(LANES * i) for i in range(5))
"""Offsets of the lanes' numbers in the state: a candidate, and its error."""
(BEST_SCALE, BEST_BIAS, BEST_LOW, BEST_HIGH, BEST_ERROR) = (uint64(LANES * i) for i in range(5, 10))
(INVERSE, CODES, SQUARES, PRODUCTS) = (uint64(LANES * i) for i in range(10, 14))
"""1 / scale, and weighted sums over a group: of codes, of their squares, of code times value."""
(LOW, HIGH, WEIGHTS, VALUES, FROM_LOW, FROM_HIGH) = (uint64(LANES * i) for i in range(14, 20))
"""The range; sums of weights and of weighted values; the cuts from which a level of the search starts."""
STATE = 20 * LANES
ZERO, ONE = np.float32(0), np.float32(1)
ROUND = np.float32(1.5 * 2**23)
"""Adding and subtracting it rounds a small float32 to the nearest integer, ties to even."""
LARGEST_FLOAT16, NAN = np.float32(65504), np.float32(np.nan)


def inlined(function: Any) -> Any:
    """Compile a function into its callers."""
    return njit(function, nogil=True, error_model="numpy", inline="always")


def search_rows(rows: Array, dtype: str, how: Quantization, moments: Array | None = None) -> dict[str, Array]:
    """Rows [n, columns] in storage form -> weight uint32 [n, columns * bits / 32], scales and biases.

    Storage form is uint16 for BF16, else float16 or float32. `moments` float32 [columns] weight each column's
    squared error; None: all equally. A group lies within a row, so the bytes do not depend on chunks of rows.
    """
    n, columns = rows.shape
    groups = (n, columns // how.group_size)
    scales, biases = np.empty(groups, np.float32), np.empty(groups, np.float32)
    codes = np.empty((n, columns), np.uint8)
    search_groups(
        np.ascontiguousarray(cast(rows, dtype, "F32")).reshape(-1, how.group_size),
        column_weights(columns, moments).reshape(-1, how.group_size),
        KINDS[dtype],
        how.bits,
        *search_settings(how.bits),
        scales.reshape(-1),
        biases.reshape(-1),
        codes.reshape(-1, how.group_size),
    )
    weight = np.empty((n, columns * how.bits // 32), np.uint32)
    pack_rows(codes, how.bits, weight)
    return {"weight": weight, "scales": cast(scales, "F32", dtype), "biases": cast(biases, "F32", dtype)}


def search_settings(bits: int) -> tuple[Any, int, int]:
    """The first level's step as a share of the range, the number of levels, and that of fits."""
    return np.float32(CUT / 2**bits), LEVELS if bits < RANGE_COUNTS_BELOW else 0, FIT_ROUNDS


def column_weights(columns: int, moments: Array | None) -> Array:
    """The weight of each column's squared error, 1 on average: half by its moment, half constant.

    Moments alone would be right for uncorrelated inputs; but inputs are correlated, and with few bits a
    search with moments alone is worse than one without them.
    """
    if moments is None or not moments.any():
        return np.ones(columns, np.float32)
    wide = moments.astype(np.float64)
    weights: Array = (0.5 + 0.5 * wide / wide.mean()).astype(np.float32)
    return weights


@compiled
def clear(state, first, last):  # type: ignore
    """Zeros from `first` to `last`."""
    for k in range(first, last):
        state[k] = ZERO


@compiled
def round_stored(state, bits, at, kind):  # type: ignore
    """Round the lanes at `at` to the stored dtype; `bits` are the bits of the same memory.

    A number that is too large for float16 becomes NaN, so that the candidate is never better than another.
    """
    if kind == BFLOAT16:
        for k in range(LANE):
            odd = (bits[at + k] >> np.uint32(16)) & np.uint32(1)
            bits[at + k] = (bits[at + k] + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)
    elif kind == FLOAT16:
        for k in range(LANE):
            x = state[at + k]
            small = abs(x) < np.float32(2.0**-14)
            # Below 2**-14 float16 has steps of 2**-24, as float32 has between 0.5 and 1.
            subnormal = (abs(x) + np.float32(0.5)) - np.float32(0.5)
            # Above, 11 bits are kept: adding and subtracting 2**13 times the number rounds it to them.
            large = x * np.float32(2.0**13 + 1)
            normal = large - (large - x)
            normal = normal if abs(normal) <= LARGEST_FLOAT16 else NAN
            state[at + k] = (subnormal if x > ZERO else -subnormal) if small else normal


@inlined
def nearest(value, bias, inverse, top):  # type: ignore
    """The code (still a float) whose weight is nearest to a value."""
    code = (value - bias) * inverse
    code = code if code > ZERO else ZERO
    code = code if code < top else top
    return (code + ROUND) - ROUND


@compiled
def assess(values, weights, state, top):  # type: ignore
    """The candidate's error with the nearest codes, and the sums that the next fit needs.

    `values` and `weights` are [group_size * LANES], the lanes of each position side by side.
    """
    for k in range(LANE):
        state[INVERSE + k] = ONE / state[SCALE + k]
    clear(state, ERROR, ERROR + LANE)
    clear(state, CODES, PRODUCTS + LANE)
    for j in range(uint64(values.shape[0]) // LANE):
        for k in range(LANE):
            value, weight = values[j * LANE + k], weights[j * LANE + k]
            code = nearest(value, state[BIAS + k], state[INVERSE + k], top)
            off = value - (state[SCALE + k] * code + state[BIAS + k])
            state[ERROR + k] += weight * off * off
            state[CODES + k] += weight * code
            state[SQUARES + k] += weight * code * code
            state[PRODUCTS + k] += weight * code * value


@compiled
def survey(values, weights, state):  # type: ignore
    """Each lane's range, and the sums that do not depend on codes."""
    for k in range(LANE):
        state[LOW + k] = state[HIGH + k] = values[k]
    clear(state, WEIGHTS, VALUES + LANE)
    for j in range(uint64(values.shape[0]) // LANE):
        for k in range(LANE):
            value, weight = values[j * LANE + k], weights[j * LANE + k]
            state[LOW + k] = value if value < state[LOW + k] else state[LOW + k]
            state[HIGH + k] = value if value > state[HIGH + k] else state[HIGH + k]
            state[WEIGHTS + k] += weight
            state[VALUES + k] += weight * value


@compiled
def propose_plain(state, top):  # type: ignore
    """Plain rounding's scale and bias: the end of the range farther from zero and zero itself are exact."""
    for k in range(LANE):
        low, high = state[LOW + k], state[HIGH + k]
        below = abs(low) > abs(high)
        edge = low if below else high
        scale = (high - low) / top
        scale = scale if scale > EPSILON else EPSILON
        scale = scale if below else -scale
        whole = np.rint(edge / scale)
        state[SCALE + k] = scale if whole == ZERO else edge / whole
        state[BIAS + k] = ZERO if whole == ZERO else edge


@compiled
def propose_cuts(state, low, high, top):  # type: ignore
    """Scale and bias for the range after cutting off these shares, in addition to the level's first cuts."""
    for k in range(LANE):
        spread = state[HIGH + k] - state[LOW + k]
        state[CUT_LOW + k], state[CUT_HIGH + k] = state[FROM_LOW + k] + low, state[FROM_HIGH + k] + high
        state[BIAS + k] = state[LOW + k] + spread * state[CUT_LOW + k]
        state[SCALE + k] = (state[HIGH + k] - spread * state[CUT_HIGH + k] - state[BIAS + k]) / top


@compiled
def propose_fit(state, bits, kind):  # type: ignore
    """Least squares for the last assessed codes; the bias is the best one for the rounded scale."""
    for k in range(LANE):
        spread = state[WEIGHTS + k] * state[SQUARES + k] - state[CODES + k] * state[CODES + k]
        together = state[WEIGHTS + k] * state[PRODUCTS + k] - state[CODES + k] * state[VALUES + k]
        state[SCALE + k] = together / spread
    round_stored(state, bits, SCALE, kind)
    for k in range(LANE):
        state[BIAS + k] = (state[VALUES + k] - state[SCALE + k] * state[CODES + k]) / state[WEIGHTS + k]


@compiled
def judge(values, weights, state, bits, kind, top):  # type: ignore
    """Round the candidate to the stored dtype, assess it, and keep it if it is better than the best."""
    round_stored(state, bits, SCALE, kind)
    round_stored(state, bits, BIAS, kind)
    assess(values, weights, state, top)
    for k in range(LANE):
        better = state[ERROR + k] < state[BEST_ERROR + k]
        state[BEST_SCALE + k] = state[SCALE + k] if better else state[BEST_SCALE + k]
        state[BEST_BIAS + k] = state[BIAS + k] if better else state[BEST_BIAS + k]
        state[BEST_LOW + k] = state[CUT_LOW + k] if better else state[BEST_LOW + k]
        state[BEST_HIGH + k] = state[CUT_HIGH + k] if better else state[BEST_HIGH + k]
        state[BEST_ERROR + k] = state[ERROR + k] if better else state[BEST_ERROR + k]


@compiled
def copy(state, source, target, lanes):  # type: ignore
    """Copy numbers from one offset of the state to another."""
    for k in range(lanes):
        state[target + k] = state[source + k]


@compiled
def search_lanes(values, weights, state, bits, kind, top, step, levels, rounds):  # type: ignore
    """Leave the best scale and bias of LANES groups in the state.

    `step` is the first level's, a share of the range.
    """
    survey(values, weights, state)
    propose_plain(state, top)
    round_stored(state, bits, SCALE, kind)
    round_stored(state, bits, BIAS, kind)
    assess(values, weights, state, top)
    clear(state, CUT_LOW, CUT_HIGH + LANE)
    copy(state, SCALE, BEST_SCALE, FIVE * LANE)
    clear(state, FROM_LOW, FROM_HIGH + LANE)
    propose_cuts(state, ZERO, ZERO, top)
    judge(values, weights, state, bits, kind, top)
    for k in range(LANE):
        state[FROM_LOW + k] = state[FROM_HIGH + k] = step
    for _ in range(levels):
        for low in range(-1, 2):
            for high in range(-1, 2):
                propose_cuts(state, step * np.float32(low), step * np.float32(high), top)
                judge(values, weights, state, bits, kind, top)
        copy(state, BEST_LOW, FROM_LOW, TWO * LANE)
        step *= np.float32(0.5)
    copy(state, BEST_SCALE, SCALE, TWO * LANE)
    assess(values, weights, state, top)
    for _ in range(rounds):
        propose_fit(state, bits, kind)
        judge(values, weights, state, bits, kind, top)


@compiled
def search_groups(groups, weights, kind, width, step, levels, rounds, scales, biases, codes):  # type: ignore
    """Groups [n, group_size] -> scales and biases [n], codes [n, group_size].

    `weights` are a row's column weights [groups of a row, group_size].
    """
    n, size = uint64(groups.shape[0]), uint64(groups.shape[1])
    of_values, of_weights = np.empty(size * LANE, np.float32), np.empty(size * LANE, np.float32)
    state = np.empty(STATE, np.float32)
    bits, top = state.view(np.uint32), np.float32((1 << width) - 1)
    for first in range(uint64(0), n, LANE):
        for k in range(LANE):
            group = min(first + k, n - ONE_GROUP)  # lanes beyond the end repeat the last group
            row_group = group % uint64(weights.shape[0])
            for j in range(size):
                of_values[j * LANE + k] = groups[group, j]
                of_weights[j * LANE + k] = weights[row_group, j]
        search_lanes(of_values, of_weights, state, bits, kind, top, step, levels, rounds)
        for k in range(min(LANE, n - first)):
            group = first + k
            scale, bias = state[BEST_SCALE + k], state[BEST_BIAS + k]
            scales[group], biases[group] = scale, bias
            inverse = ONE / scale
            for j in range(size):
                codes[group, j] = np.uint8(nearest(groups[group, j], bias, inverse, top))
