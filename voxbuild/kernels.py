"""Compiled loops that quantize rows of weights: bit for bit what `mx.quantize` makes of them on a CPU.

All arithmetic is IEEE float32, in MLX's order and without liberties (true divisions, no fused products).
What is written here in an unusual way is so for the sake of vector instructions: a minimum of floats is taken
over integers of the same order, indices are unsigned, each loop writes one array, and a division by zero is
no error.
"""

from typing import Any

import numpy as np
from numba import njit, uint64

BFLOAT16, FLOAT16, FLOAT32 = range(3)
INFINITY = np.int32(0x7F800000)
MAGNITUDE = np.int32(0x7FFFFFFF)
EPSILON = np.float32(1e-7)
ONE, WORD = uint64(1), uint64(32)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)
GREATEST_E4M3, LEAST_NORMAL_E4M3 = np.int32(0x43E00000), np.int32(0x3C800000)
E4M3_ROUNDING = np.int32(0x7FFFF - (120 << 23))


def compiled(function: Any) -> Any:
    """Machine code, kept on disk for the next process where there is a place for it."""
    try:
        return njit(function, nogil=True, error_model="numpy", cache=True)
    except RuntimeError:  # neither beside this file nor in the home folder: compiled anew each time
        return njit(function, nogil=True, error_model="numpy")


def inlined(function: Any) -> Any:
    """Part of its caller's machine code."""
    return njit(function, nogil=True, error_model="numpy", inline="always")


@inlined
def widen(row, kind, bits):  # type: ignore
    """Stored floats [columns] as the bits of float32."""
    columns = uint64(row.shape[0])
    if kind == BFLOAT16:
        for j in range(columns):
            bits[j] = np.int32(np.uint32(row[j]) << np.uint32(16))
    elif kind == FLOAT32:
        for j in range(columns):
            bits[j] = np.int32(row[j])
    else:
        values = bits.view(np.float32)
        for j in range(columns):
            half = np.uint32(row[j])
            bits[j] = np.int32(
                (half & np.uint32(0x8000)) << np.uint32(16) | (half & np.uint32(0x7FFF)) << np.uint32(13)
            )
        for j in range(columns):
            values[j] = values[j] * np.float32(2.0**112)  # float16's exponents begin 112 above float32's


@inlined
def extremes(bits, start, count):  # type: ignore
    """(least, greatest) of a group, as integers of the same order."""
    low, high = MAGNITUDE, np.int32(-1) - MAGNITUDE
    for j in range(start, start + count):
        key = np.int32(bits[j] ^ (np.int32(bits[j] >> np.int32(31)) & MAGNITUDE))
        low = min(low, key)
        high = max(high, key)
    return low, high


@inlined
def as_float(key, scratch):  # type: ignore
    """The float32 of an integer of `extremes`."""
    scratch[0] = np.int32(key ^ (np.int32(key >> np.int32(31)) & MAGNITUDE))
    return scratch.view(np.float32)[0]


@inlined
def affine_line(low, high, steps):  # type: ignore
    """(scale, bias) of a group: the extreme farther from zero is met exactly, and zero is if it can be."""
    below = abs(low) > abs(high)
    edge = low if below else high
    scale = max((high - low) / steps, EPSILON)
    if not below:
        scale = -scale
    whole = np.rint(edge / scale)
    if whole == np.float32(0):
        return scale, np.float32(0)
    return edge / whole, edge


@inlined
def affine_codes(values, start, count, scale, bias, top, codes):  # type: ignore
    """The nearest step of each value, ties to even."""
    for j in range(start, start + count):
        code = np.int32(np.rint((values[j] - bias) / scale))
        codes[j] = np.uint8(min(max(code, np.int32(0)), top))


@inlined
def pack(words, bits, out):  # type: ignore
    """Codes of a byte each, eight in a word, as a stream of `bits` each."""
    # The lower and the upper of each two fields: of a byte, of two, of four.
    low1 = np.uint64((1 << bits) - 1) * np.uint64(0x0001000100010001)
    low2 = np.uint64((1 << 2 * bits) - 1) * np.uint64(0x0000000100000001)
    low4 = np.uint64((1 << 4 * bits) - 1)
    one, two, four, gap = np.uint64(bits), np.uint64(2 * bits), np.uint64(4 * bits), np.uint64(8 - bits)
    high1, high2, high4 = low1 << one, low2 << two, low4 << four
    gap2, gap4 = gap + gap, np.uint64(32) - four
    for j in range(uint64(words.shape[0])):
        x = words[j]
        x = x & low1 | x >> gap & high1
        x = x & low2 | x >> gap2 & high2
        words[j] = x & low4 | x >> gap4 & high4
    width, filled, at, carried = np.uint64(8 * bits), np.uint64(0), uint64(0), np.uint64(0)
    for j in range(uint64(words.shape[0])):
        carried |= words[j] << filled
        filled += width
        while filled >= WORD:
            out[at] = np.uint32(carried)
            carried >>= WORD
            filled -= WORD
            at += uint64(1)


@compiled
def largest_magnitude(bits):  # type: ignore
    """The greatest of stored floats [n] without their signs, as an integer of the same order."""
    most = bits.dtype.type(0)
    mask = bits.dtype.type((1 << (8 * bits.itemsize - 1)) - 1)
    for j in range(uint64(bits.shape[0])):
        most = max(most, bits[j] & mask)
    return most


@compiled
def affine(rows, kind, bits, group_size, weight, scales, biases):  # type: ignore
    """Quantize rows [n, columns] of stored bits; return whether all are finite.

    `weight` uint32 [n, columns * bits / 32]; `scales` and `biases` float32 [n, columns / group_size].
    """
    columns, count = uint64(rows.shape[1]), uint64(group_size)
    steps, top = np.float32((1 << bits) - 1), np.int32((1 << bits) - 1)
    numbers, codes, scratch = np.empty(columns, np.int32), np.empty(columns, np.uint8), np.empty(1, np.int32)
    values, words = numbers.view(np.float32), codes.view(np.uint64)
    finite = True
    for i in range(uint64(rows.shape[0])):
        widen(rows[i], kind, numbers)
        for group in range(columns // count):
            start = group * count
            low, high = extremes(numbers, start, count)
            finite &= (high < INFINITY) & (low > ~INFINITY)
            scale, bias = affine_line(as_float(low, scratch), as_float(high, scratch), steps)
            scales[i, group], biases[i, group] = scale, bias
            affine_codes(values, start, count, scale, bias, top, codes)
        pack(words, bits, weight[i])
    return finite


@inlined
def greatest_magnitudes(numbers, count, out):  # type: ignore
    """The greatest of each group without its sign."""
    for group in range(uint64(out.shape[0])):
        most = np.int32(0)
        for j in range(group * count, (group + ONE) * count):
            most = max(most, np.int32(numbers[j] & MAGNITUDE))
        out[group] = most


@inlined
def round_to(values, kind):  # type: ignore
    """Numbers [n] to the nearest of the stored dtype, a tie to the even one, in place."""
    numbers, drop = values.view(np.int32), np.int32(16 if kind == BFLOAT16 else 13)
    half = np.int32((1 << (drop - 1)) - 1)
    if kind == FLOAT32:
        return
    for j in range(uint64(values.shape[0])):
        if kind == FLOAT16 and abs(values[j]) < np.float32(2.0**-14):
            # its smallest numbers are 2 ** -24 apart, as float32's are about 0.75
            values[j] = (values[j] + np.float32(0.75)) - np.float32(0.75)
        else:
            odd = np.int32(numbers[j] >> drop) & np.int32(1)
            numbers[j] = np.int32(np.int32(numbers[j] + half + odd) >> drop) << drop


@inlined
def e4m3(number, value):  # type: ignore
    """The code of a float32, given as its bits, too, to nearest even; beyond 448, the greatest, it is 448."""
    magnitude = min(np.int32(number & MAGNITUDE), GREATEST_E4M3)
    sign = np.int32(number >> np.int32(24)) & np.int32(0x80)
    odd = np.int32(magnitude >> np.int32(20)) & np.int32(1)
    normal = np.int32(magnitude + odd + E4M3_ROUNDING) >> np.int32(20)
    # below 2 ** -6 the codes are evenly spaced, 2 ** -9 apart
    even = np.int32(np.rint(min(abs(value), np.float32(2.0**-6)) * np.float32(2.0**9)))
    return np.int32((normal if magnitude >= LEAST_NORMAL_E4M3 else even) | sign)


@inlined
def e4m3_scales(values, codes):  # type: ignore
    """Each scale to e4m3, in place; its code."""
    numbers = values.view(np.int32)
    for j in range(uint64(values.shape[0])):
        codes[j] = np.uint8(e4m3(numbers[j], values[j]))
    for j in range(uint64(values.shape[0])):
        code = np.int32(codes[j])
        small = np.float32(code) * np.float32(2.0**-9)
        numbers[j] = np.int32(code + np.int32(120 << 3)) << np.int32(20)
        values[j] = small if code < np.int32(8) else values[j]


@inlined
def e8m0_scales(values, codes):  # type: ignore
    """Each scale to the power of two that is not below it, in place, 0 to 1; its code, modulo 256."""
    wide = np.empty(values.shape[0], np.int64)
    exact = wide.view(np.float64)  # no float32 is denormal there
    for j in range(uint64(values.shape[0])):
        exact[j] = values[j] if values[j] > np.float32(0) else np.float32(1)
    for j in range(uint64(values.shape[0])):
        wide[j] = (wide[j] + np.int64((1 << 52) - 1)) >> np.int64(52)
    for j in range(uint64(values.shape[0])):
        codes[j] = np.uint8(wide[j] - np.int64(1023 - 127))
    for j in range(uint64(values.shape[0])):
        wide[j] = wide[j] << np.int64(52)
    for j in range(uint64(values.shape[0])):
        values[j] = np.float32(exact[j])


@inlined
def e2m1_codes(values, limits, codes):  # type: ignore
    """The nearest of 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, a tie to the smaller; never -0."""
    a, b, c, d, e, f, g = limits[0], limits[1], limits[2], limits[3], limits[4], limits[5], limits[6]
    for j in range(uint64(values.shape[0])):
        x = abs(values[j])
        code = np.int32(x > a) + np.int32(x > b) + np.int32(x > c) + np.int32(x > d)
        code += np.int32(x > e) + np.int32(x > f) + np.int32(x > g)
        sign = np.int32(8) if values[j] < -a else np.int32(0)
        codes[j] = np.uint8(code | sign)


@inlined
def far_e2m1_codes(values, codes):  # type: ignore
    """The same far beyond 6, where distances are equal once rounded: the first of them counts."""
    for j in range(uint64(values.shape[0])):
        x = abs(values[j])
        least, best = np.float32(np.inf), np.int32(0)
        for code in range(8):
            distance = abs(x - E2M1[code])
            if distance < least:
                least, best = distance, np.int32(code)
        sign = np.int32(8) if values[j] < np.float32(0) and best > 0 else np.int32(0)
        codes[j] = np.uint8(best | sign)


@inlined
def e4m3_codes(numbers, codes):  # type: ignore
    """The nearest numbers of e4m3."""
    values = numbers.view(np.float32)
    for j in range(uint64(numbers.shape[0])):
        codes[j] = np.uint8(e4m3(numbers[j], values[j]))


@compiled
def small_floats(rows, kind, bits, group_size, limits, weight, scales):  # type: ignore
    """Quantize rows [n, columns] of stored bits to floats of 4 or 8 bits; return whether all are finite.

    `weight` uint32 [n, columns * bits / 32]; `scales` uint8 [n, columns / group_size]: e4m3 for groups of 16,
    else exponents of two (e8m0). `limits`: see e2m1_codes.
    """
    columns, count = uint64(rows.shape[1]), uint64(group_size)
    top = np.float32(6 if bits == 4 else 448)
    numbers, codes = np.empty(columns, np.int32), np.empty(columns, np.uint8)
    values, words = numbers.view(np.float32), codes.view(np.uint64)
    most, scale = np.empty(columns // count, np.int32), np.empty(columns // count, np.float32)
    greatest = most.view(np.float32)
    finite = True
    for i in range(uint64(rows.shape[0])):
        widen(rows[i], kind, numbers)
        greatest_magnitudes(numbers, count, most)
        far = False
        for group in range(columns // count):
            scale[group] = greatest[group] / top
        round_to(scale, kind)
        if group_size == 16:
            e4m3_scales(scale, scales[i])
        else:
            e8m0_scales(scale, scales[i])
        for group in range(columns // count):
            finite &= most[group] < INFINITY
            if scale[group] == np.float32(0):
                scale[group] = np.float32(np.inf)  # all codes are 0
            far |= greatest[group] > np.float32(16) * scale[group]
        for group in range(columns // count):
            divisor = scale[group]
            for j in range(group * count, (group + ONE) * count):
                values[j] = values[j] / divisor
        if bits == 8:
            e4m3_codes(numbers, codes)
        elif far:
            round_to(values, kind)
            far_e2m1_codes(values, codes)
        else:
            e2m1_codes(values, limits, codes)
        pack(words, bits, weight[i])
    return finite
