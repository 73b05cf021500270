"""Affine quantization with a search for scales and biases: the same format, less error.

A loader computes `code * scale + bias` with the stored scale and bias. So each candidate is rounded to the
stored dtype, gets the nearest code for every weight, and is judged by its squared error. Plain rounding's
scale and bias are the first candidate, so no group gets worse.

The loops handle LANES rows side by side, without computing across them, in IEEE float32: the bytes do not
depend on vector instructions, threads or chunks of rows. All lanes' numbers are in one array at literal
offsets, and indices are unsigned, so that the loops vectorize.
"""

from typing import Any

import numpy as np
from numba import njit, uint64

from .kernels import BFLOAT16, EPSILON, FLOAT16, compiled, pack, widen
from .modes import Quantization
from .moments import Array
from .quantize import KINDS, bits_of, cast

CUT = 0.8
"""First guess of the cut at either end of a group's range, in steps from code to code."""
LEVELS = 2
"""Grids of three by three cuts around the best ones so far: CUT apart, then half of it, ..."""
FIT_ROUNDS = 3
"""Rounds of least squares for given codes, then nearest codes for the new scale and bias."""
RANGE_COUNTS_BELOW = 8
"""With this many bits or more, cutting the range gains nothing: the error is that of rounding the scale."""

LANES = 32
LANE, ONE_ROW, TWO, FIVE = (uint64(n) for n in (LANES, 1, 2, 5))
STRIP = uint64(8)
"""Columns that a loop over lanes takes at a time, its sums in registers: a divisor of all group sizes."""
(SCALE, BIAS, CUT_LOW, CUT_HIGH, ERROR) = (uint64(LANES * i) for i in range(5))
"""Offsets of the lanes' numbers in the state: a candidate, and its error."""
(BEST_SCALE, BEST_BIAS, BEST_LOW, BEST_HIGH, BEST_ERROR) = (uint64(LANES * i) for i in range(5, 10))
(INVERSE, CODES, SQUARES, PRODUCTS) = (uint64(LANES * i) for i in range(10, 14))
"""1 / scale, and weighted sums over a group: of codes, of their squares, of code times value."""
(LOW, HIGH, WEIGHTS, VALUES, FROM_LOW, FROM_HIGH) = (uint64(LANES * i) for i in range(14, 20))
"""The range; sums of weights and of weighted values; the cuts from which a level of the search starts."""
STATE = 20 * LANES
ZERO, ONE = np.float32(0), np.float32(1)
LARGEST_FLOAT16, NAN = np.float32(65504), np.float32(np.nan)


def inlined(function: Any) -> Any:
    """Compile a function into its callers."""
    return njit(function, nogil=True, error_model="numpy", inline="always")


def search_rows(rows: Array, dtype: str, how: Quantization, moments: Array | None = None) -> dict[str, Array]:
    """Rows [n, columns] in storage form -> weight uint32 [n, columns * bits / 32], scales and biases.

    Storage form is uint16 for BF16, else float16 or float32. `moments` float32 [columns] weight each column's
    squared error; None: all equally. A row's result does not depend on other rows.
    """
    n, columns = rows.shape
    groups = columns // how.group_size
    scales, biases = np.empty((2, n, groups), np.float32)
    weight = np.empty((n, columns * how.bits // 32), np.uint32)
    search_blocks(
        bits_of(rows, dtype),
        column_weights(columns, moments).reshape(groups, how.group_size),
        (KINDS[dtype], how.bits, *search_settings(how.bits)),
        weight,
        scales,
        biases,
    )
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
def stored(x, kind):  # type: ignore
    """A float32 rounded to the stored dtype.

    A number that is too large for float16 becomes NaN, so that the candidate is never better than another.
    """
    if kind == BFLOAT16:
        bits = np.float32(x).view(np.uint32)
        odd = np.uint32(bits >> np.uint32(16)) & np.uint32(1)
        bits = np.uint32(np.uint32(bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000))
        x = np.uint32(bits).view(np.float32)
    elif kind == FLOAT16:
        small = abs(x) < np.float32(2.0**-14)
        # Below 2**-14 float16 has steps of 2**-24, as float32 has between 0.5 and 1.
        subnormal = (abs(x) + np.float32(0.5)) - np.float32(0.5)
        # Above, 11 bits are kept: adding and subtracting 2**13 times the number rounds it to them.
        large = x * np.float32(2.0**13 + 1)
        normal = large - (large - x)
        normal = normal if abs(normal) <= LARGEST_FLOAT16 else NAN
        x = (subnormal if x > ZERO else -subnormal) if small else normal
    return x


@inlined
def nearest(value, bias, inverse, top):  # type: ignore
    """The code (still a float) whose weight is nearest to a value."""
    code = (value - bias) * inverse
    code = code if code > ZERO else ZERO
    code = code if code < top else top
    return np.rint(code)


@inlined
def assess(values, weights, state, kind, top):  # type: ignore
    """Round the candidate to the stored dtype; its error with the nearest codes.

    `values` are [group_size * LANES], the lanes of each column side by side; `weights` [group_size].
    """
    for k in range(LANE):
        state[SCALE + k], state[BIAS + k] = stored(state[SCALE + k], kind), stored(state[BIAS + k], kind)
        state[INVERSE + k] = ONE / state[SCALE + k]
        state[ERROR + k] = ZERO
    for j in range(uint64(0), uint64(weights.shape[0]), STRIP):
        for k in range(LANE):
            scale, bias, inverse = state[SCALE + k], state[BIAS + k], state[INVERSE + k]
            error = state[ERROR + k]
            for i in range(STRIP):
                value = values[(j + i) * LANE + k]
                off = value - (scale * nearest(value, bias, inverse, top) + bias)
                error += weights[j + i] * off * off
            state[ERROR + k] = error


@compiled
def add_codes(values, weights, state, top):  # type: ignore
    """The sums over the candidate's codes that a fit needs."""
    clear(state, CODES, PRODUCTS + LANE)
    for j in range(uint64(0), uint64(weights.shape[0]), STRIP):
        for k in range(LANE):
            bias, inverse = state[BIAS + k], ONE / state[SCALE + k]
            codes, squares, products = state[CODES + k], state[SQUARES + k], state[PRODUCTS + k]
            for i in range(STRIP):
                value = values[(j + i) * LANE + k]
                code = nearest(value, bias, inverse, top)
                weighted = weights[j + i] * code
                codes += weighted
                squares += weighted * code
                products += weighted * value
            state[CODES + k], state[SQUARES + k], state[PRODUCTS + k] = codes, squares, products


@compiled
def survey(values, weights, state):  # type: ignore
    """Each lane's range, and the sums that do not depend on codes."""
    for k in range(LANE):
        state[LOW + k] = state[HIGH + k] = values[k]
    clear(state, WEIGHTS, VALUES + LANE)
    for j in range(uint64(0), uint64(weights.shape[0]), STRIP):
        for k in range(LANE):
            low, high = state[LOW + k], state[HIGH + k]
            together, total = state[WEIGHTS + k], state[VALUES + k]
            for i in range(STRIP):
                value, weight = values[(j + i) * LANE + k], weights[j + i]
                low, high = value if value < low else low, value if value > high else high
                together += weight
                total += weight * value
            state[LOW + k], state[HIGH + k] = low, high
            state[WEIGHTS + k], state[VALUES + k] = together, total


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
def propose_fit(state, kind):  # type: ignore
    """Least squares for the last assessed codes; the bias is the best one for the rounded scale."""
    for k in range(LANE):
        spread = state[WEIGHTS + k] * state[SQUARES + k] - state[CODES + k] * state[CODES + k]
        together = state[WEIGHTS + k] * state[PRODUCTS + k] - state[CODES + k] * state[VALUES + k]
        scale = stored(together / spread, kind)
        state[SCALE + k] = scale
        state[BIAS + k] = (state[VALUES + k] - scale * state[CODES + k]) / state[WEIGHTS + k]


@compiled
def judge(values, weights, state, kind, top):  # type: ignore
    """Assess the candidate, and keep it if it is better than the best."""
    assess(values, weights, state, kind, top)
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
def search_lanes(values, weights, state, settings):  # type: ignore
    """Leave the best scale and bias of a group of LANES rows in the state.

    `settings`: kind, width of a code, and `search_settings`.
    """
    kind, width, step, levels, rounds = settings
    top = np.float32((1 << width) - 1)
    survey(values, weights, state)
    propose_plain(state, top)
    assess(values, weights, state, kind, top)
    clear(state, CUT_LOW, CUT_HIGH + LANE)
    copy(state, SCALE, BEST_SCALE, FIVE * LANE)
    clear(state, FROM_LOW, FROM_HIGH + LANE)
    propose_cuts(state, ZERO, ZERO, top)
    judge(values, weights, state, kind, top)
    for k in range(LANE):
        state[FROM_LOW + k] = state[FROM_HIGH + k] = step
    judged = -1  # first no cut at all, then the best one so far
    for _ in range(levels):
        for low in range(-1, 2):
            for high in range(-1, 2):
                if low == judged and high == judged:
                    continue
                propose_cuts(state, step * np.float32(low), step * np.float32(high), top)
                judge(values, weights, state, kind, top)
        copy(state, BEST_LOW, FROM_LOW, TWO * LANE)
        step *= np.float32(0.5)
        judged = 0
    copy(state, BEST_SCALE, SCALE, TWO * LANE)
    for _ in range(rounds):
        add_codes(values, weights, state, top)
        propose_fit(state, kind)
        judge(values, weights, state, kind, top)


@compiled
def side_by_side(numbers, start, pairs):  # type: ignore
    """Columns from `start` on of LANES rows [LANES, columns], the rows' numbers of a column side by side.

    `pairs` is float32 [group_size * LANES] as uint64: two rows at a time halve the number of stores.
    """
    half = LANE // TWO
    for k in range(half):
        for j in range(uint64(pairs.shape[0]) // half):
            first, second = numbers[TWO * k, start + j], numbers[TWO * k + uint64(1), start + j]
            pairs[j * half + k] = uint64(np.uint32(first)) | uint64(np.uint32(second)) << uint64(32)


@compiled
def nearest_codes(values, scales, biases, top, codes):  # type: ignore
    """The codes uint8 [columns] of a row's values for the scale and bias of each group [groups]."""
    size = uint64(values.shape[0]) // uint64(scales.shape[0])
    for group in range(uint64(scales.shape[0])):
        bias, inverse = biases[group], ONE / scales[group]
        for j in range(group * size, (group + ONE_ROW) * size):
            codes[j] = np.uint8(nearest(values[j], bias, inverse, top))


@compiled
def search_blocks(rows, weights, settings, weight, scales, biases):  # type: ignore
    """Rows [n, columns] of stored floats -> packed codes, scales and biases float32 [n, groups].

    `weights` are those of the columns [groups, group_size].
    """
    n, columns = uint64(rows.shape[0]), uint64(rows.shape[1])
    size, top = uint64(weights.shape[1]), np.float32((1 << settings[1]) - 1)
    numbers, codes = np.empty((LANE, columns), np.int32), np.empty(columns, np.uint8)
    values, lanes = numbers.view(np.float32), np.empty(size * LANE, np.float32)
    state = np.empty(STATE, np.float32)
    for first in range(uint64(0), n, LANE):
        for k in range(LANE):  # lanes beyond the end repeat the last row
            widen(rows[min(first + k, n - ONE_ROW)], settings[0], numbers[k])
        for group in range(uint64(weights.shape[0])):
            side_by_side(numbers, group * size, lanes.view(np.uint64))
            search_lanes(lanes, weights[group], state, settings)
            for k in range(min(LANE, n - first)):
                scales[first + k, group] = state[BEST_SCALE + k]
                biases[first + k, group] = state[BEST_BIAS + k]
        for k in range(min(LANE, n - first)):
            nearest_codes(values[k], scales[first + k], biases[first + k], top, codes)
            pack(codes.view(np.uint64), settings[1], weight[first + k])
