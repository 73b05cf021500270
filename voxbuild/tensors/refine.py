"""Steps 2 and 3 of quantizing with feedback: better codes, scales and biases for rows that are rounded.

The error of a row that is off by e is e H e^T. Changing e by -d changes it by d H d^T - 2 (e H) d^T, so a
change of one code, or of a group's scale and bias, is judged from e H in the group's columns alone.
"""

import numpy as np
from numba import uint64

from .kernels import compiled
from .search import LANE, LANES, ZERO, stored

FOUR = uint64(4)
FIRST, SECOND, THIRD, FOURTH = (uint64(LANES * i) for i in range(4))
"""Offsets of the lanes' sums in `work`."""


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
def better_codes(second, start, size, group, top, lanes, errors, slopes):  # type: ignore
    """Step 2: one code after the other, where that lowers the error; `slopes` are the group's of e H."""
    codes, scales, _, _, losses = lanes
    for j in range(size):
        at, own = (start + j) * LANE, second[start + j, j]
        for i in range(LANE):
            scale = scales[group * LANE + i]
            by = slopes[j * LANE + i] / (own * scale)
            code = codes[at + i] + by
            code = code if code > ZERO else ZERO
            code = code if code < top else top
            code = np.rint(code)
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
    for i in range(LANE):
        for row in range(FOUR):
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
            work[FIRST + i] += code * current[j * LANE + i]  # q H q
            work[SECOND + i] += current[j * LANE + i]  # q H 1
            work[THIRD + i] += code * slopes[j * LANE + i]
            work[FOURTH + i] += slopes[j * LANE + i]
        losses[j] = one  # H 1 of this column
    for i in range(LANE):
        qq, q1 = work[FIRST + i], work[SECOND + i]
        qr, r = work[THIRD + i], work[FOURTH + i]
        spread = qq * ones - q1 * q1
        by = (qr * ones - r * q1) / spread
        state[i] = stored(scales[group * LANE + i] + by, kind)
    for i in range(LANE):
        by = state[i] - scales[group * LANE + i]
        bias = biases[group * LANE + i] + (work[FOURTH + i] - by * work[SECOND + i]) / ones
        state[LANE + i] = stored(bias, kind)
    for i in range(LANE):
        by, up = state[i] - scales[group * LANE + i], state[LANE + i] - biases[group * LANE + i]
        qr, r = work[THIRD + i], work[FOURTH + i]
        gain = np.float32(2) * (by * qr + up * r)
        gain -= by * by * work[FIRST + i] + np.float32(2) * by * up * work[SECOND + i] + up * up * ones
        better = gain > ZERO
        work[FIRST + i] = by if better else ZERO
        work[SECOND + i] = up if better else ZERO
        scales[group * LANE + i] = state[i] if better else scales[group * LANE + i]
        biases[group * LANE + i] = state[LANE + i] if better else biases[group * LANE + i]
    for j in range(size):
        for i in range(LANE):
            by, up = work[FIRST + i], work[SECOND + i]
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
