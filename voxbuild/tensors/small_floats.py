"""Compiled loops that quantize to small floats (mxfp4, mxfp8, nvfp4): bit for bit as MLX does on a CPU.

As in `kernels`, `numbers` are the bits of float32 as int32, `values` is the same memory as float32.
"""

import numpy as np
from numba import uint64

from .kernels import MAGNITUDE, ONE, compiled, greatest_magnitude, narrow, pack, small_float, widen

E4M3 = np.int32(20), np.int32(0x3C800000), np.int32(0x43E00000), np.float32(2.0**9)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
MIDDLES = tuple((E2M1[1:] + E2M1[:-1]) / np.float32(2))
FAR = np.uint32(0x41800000)
"""16 as bits of float32: beyond it, the nearest E2M1 number is found by rounded distances, as MLX does."""


@compiled
def greatest_quotients(numbers, count, top, greatest):  # type: ignore
    """The greatest magnitude of each group [groups], divided by `top`."""
    for group in range(uint64(greatest.shape[0])):
        most = np.int32(0)
        for j in range(group * count, (group + ONE) * count):
            most = max(most, np.int32(numbers[j] & MAGNITUDE))
        greatest[group] = most
    values = greatest.view(np.float32)
    for group in range(uint64(greatest.shape[0])):
        values[group] = values[group] / top


@compiled
def e4m3_scales(numbers, codes):  # type: ignore
    """Round each scale [groups] to e4m3, in place; `codes` gets its code."""
    values = numbers.view(np.float32)
    for j in range(uint64(numbers.shape[0])):
        codes[j] = np.uint8(small_float(numbers[j], E4M3))
    for j in range(uint64(numbers.shape[0])):
        numbers[j] = np.int32(np.int32(codes[j]) + np.int32(120 << 3)) << np.int32(20)
    for j in range(uint64(numbers.shape[0])):
        small = np.float32(codes[j]) * np.float32(2.0**-9)
        values[j] = small if codes[j] < np.uint8(8) else values[j]


@compiled
def e8m0_scales(values, codes):  # type: ignore
    """Round each scale [groups] up to a power of two, in place, and 0 to 1; `codes` gets its code.

    As in MLX, the code of a scale below 2 ** -127, which has none, is taken modulo 256.
    """
    exact = np.empty(values.shape[0], np.float64)  # in float64 no float32 is subnormal
    numbers = exact.view(np.int64)
    for j in range(uint64(values.shape[0])):
        exact[j] = values[j] if values[j] > np.float32(0) else np.float32(1)
    for j in range(uint64(values.shape[0])):
        exponent = (numbers[j] + np.int64((1 << 52) - 1)) >> np.int64(52)
        codes[j] = np.uint8(exponent - np.int64(1023 - 127))
    for j in range(uint64(values.shape[0])):
        numbers[j] = (numbers[j] + np.int64((1 << 52) - 1)) >> np.int64(52) << np.int64(52)
    for j in range(uint64(values.shape[0])):
        values[j] = np.float32(exact[j])


@compiled
def divide(values, count, divisors):  # type: ignore
    """Divide each group by its divisor [groups], in place; x / 0 is 0, as MLX codes inf and NaN."""
    for group in range(uint64(divisors.shape[0])):
        divisor = divisors[group] if divisors[group] > np.float32(0) else np.float32(np.inf)
        for j in range(group * count, (group + ONE) * count):
            values[j] = values[j] / divisor


@compiled
def e2m1_codes(values, codes):  # type: ignore
    """The nearest E2M1 number of either sign, ties to the smaller magnitude; never -0.

    MLX rounds the quotients to the stored dtype first. That changes nothing: a middle times a scale has 7
    bits, so no stored number is close enough above it for its quotient to be rounded down to the middle.
    """
    a, b, c, d, e, f, g = MIDDLES
    for j in range(uint64(values.shape[0])):
        x = abs(values[j])
        code = np.int32(x > a) + np.int32(x > b) + np.int32(x > c) + np.int32(x > d)
        code += np.int32(x > e) + np.int32(x > f) + np.int32(x > g)
        codes[j] = np.uint8(code + np.int32(8) * np.int32(values[j] < -a))


@compiled
def far_e2m1_codes(values, codes):  # type: ignore
    """As `e2m1_codes` for numbers far beyond 6, where rounded distances are equal: the first code counts."""
    for j in range(uint64(values.shape[0])):
        x, code = abs(values[j]), np.int32(0)
        for other in range(1, 8):
            if abs(x - E2M1[other]) < abs(x - E2M1[code]):
                code = np.int32(other)
        codes[j] = np.uint8(code | (8 if values[j] < 0 and code > 0 else 0))


@compiled
def e4m3_codes(numbers, codes):  # type: ignore
    """The nearest e4m3 number, ties to even; at most 448."""
    for j in range(uint64(numbers.shape[0])):
        sign = np.int32(numbers[j] >> np.int32(24)) & np.int32(0x80)
        codes[j] = np.uint8(sign | small_float(numbers[j], E4M3))


@compiled
def small_floats(rows, kind, bits, group_size, weight, scales):  # type: ignore
    """Quantize rows [n, columns] of stored floats to floats of 4 bits (e2m1) or 8 (e4m3).

    `weight` uint32 [n, columns * bits / 32]; `scales` uint8 [n, columns / group_size]: e4m3 for groups of 16,
    else powers of two (e8m0).
    """
    columns, count = uint64(rows.shape[1]), uint64(group_size)
    numbers, codes = np.empty(columns, np.int32), np.empty(columns, np.uint8)
    scale, stored = np.empty(columns // count, np.int32), np.empty(columns, rows.dtype)
    values, divisors = numbers.view(np.float32), scale.view(np.float32)
    for i in range(uint64(rows.shape[0])):
        widen(rows[i], kind, numbers)
        greatest_quotients(numbers, count, np.float32(6 if bits == 4 else 448), scale)
        narrow(scale, kind, stored[: scale.shape[0]])
        widen(stored[: scale.shape[0]], kind, scale)
        if group_size == 16:
            e4m3_scales(scale, scales[i])
        else:
            e8m0_scales(divisors, scales[i])
        divide(values, count, divisors)
        if bits == 8:
            e4m3_codes(numbers, codes)
        else:
            e2m1_codes(values, codes)
            if greatest_magnitude(numbers.view(np.uint32)) > FAR:
                narrow(numbers, kind, stored)
                widen(stored, kind, numbers)
                far_e2m1_codes(values, codes)
        pack(codes.view(np.uint64), bits, weight[i])
