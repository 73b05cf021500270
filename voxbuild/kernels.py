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
WORD = uint64(32)
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
def rounded(value, kind, scratch):  # type: ignore
    """A float32 that is not negative, to the nearest number of the stored dtype."""
    if kind == FLOAT16 and value < np.float32(2.0**-14):
        return (value + np.float32(0.5)) - np.float32(0.5)  # float16's least step is float32's at one half
    if kind != FLOAT32:
        drop = np.int32(16 if kind == BFLOAT16 else 13)
        scratch.view(np.float32)[0] = value
        number = scratch[0]
        half = np.int32((np.int32(1) << (drop - np.int32(1))) - np.int32(1))
        number += np.int32((number >> drop) & np.int32(1)) + half
        scratch[0] = np.int32((number >> drop) << drop)
        return scratch.view(np.float32)[0]
    return value


@inlined
def e4m3(number, value):  # type: ignore
    """The code of a float32, given as its bits, too, to nearest even; beyond 448, the greatest, it is 448."""
    magnitude = min(np.int32(number & MAGNITUDE), GREATEST_E4M3)
    sign = np.int32(np.uint32(number) >> np.uint32(24)) & np.int32(0x80)
    odd = np.int32(magnitude >> np.int32(20)) & np.int32(1)
    normal = np.int32(magnitude + odd + E4M3_ROUNDING) >> np.int32(20)
    # below 2 ** -6 the codes are evenly spaced, 2 ** -9 apart
    even = np.int32(np.rint(min(abs(value), np.float32(2.0**-6)) * np.float32(2.0**9)))
    return np.int32((normal if magnitude >= LEAST_NORMAL_E4M3 else even) | sign)


@inlined
def e4m3_value(code):  # type: ignore
    """The float32 of a code that is not negative."""
    exponent, mantissa = code >> np.int32(3), np.float32(code & np.int32(7))
    if exponent == 0:
        return mantissa * np.float32(2.0**-9)
    return (np.float32(8) + mantissa) * np.float32(1 << exponent) * np.float32(2.0**-10)


@inlined
def power_above(value, scratch):  # type: ignore
    """The least n for which 2 ** n is not below a value above zero, and 2 ** n."""
    numbers = scratch.view(np.float64)
    numbers[0] = value  # no float32 is denormal there
    exponent = (scratch[0] + np.int64((1 << 52) - 1)) >> np.int64(52)
    scratch[0] = exponent << np.int64(52)
    return exponent - np.int64(1023), np.float32(numbers[0])


@inlined
def e2m1_codes(values, start, count, limits, codes):  # type: ignore
    """The nearest of 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, a tie to the smaller; never -0."""
    a, b, c, d, e, f, g = limits[0], limits[1], limits[2], limits[3], limits[4], limits[5], limits[6]
    for j in range(start, start + count):
        x = abs(values[j])
        code = np.int32(x > a) + np.int32(x > b) + np.int32(x > c) + np.int32(x > d)
        code += np.int32(x > e) + np.int32(x > f) + np.int32(x > g)
        sign = np.int32(8) if values[j] < -a else np.int32(0)
        codes[j] = np.uint8(code | sign)


@inlined
def far_e2m1_codes(values, start, count, table, kind, codes, scratch):  # type: ignore
    """The same far beyond 6, where rounded distances are equal and the first of them is the code."""
    for j in range(start, start + count):
        x = rounded(abs(values[j]), kind, scratch)
        least, best = np.float32(np.inf), np.int32(0)
        for code in range(8):
            distance = rounded(abs(x - table[code]), kind, scratch)
            if distance < least:
                least, best = distance, np.int32(code)
        sign = np.int32(8) if values[j] < np.float32(0) and best > 0 else np.int32(0)
        codes[j] = np.uint8(best | sign)


@inlined
def e4m3_codes(numbers, start, count, codes):  # type: ignore
    """The nearest numbers of e4m3."""
    values = numbers.view(np.float32)
    for j in range(start, start + count):
        codes[j] = np.uint8(e4m3(numbers[j], values[j]))


@compiled
def small_floats(rows, kind, bits, group_size, limits, table, weight, scales):  # type: ignore
    """Quantize rows [n, columns] of stored bits to floats of 4 or 8 bits; return whether all are finite.

    `weight` uint32 [n, columns * bits / 32]; `scales` uint8 [n, columns / group_size]: e4m3 for groups of 16,
    else exponents of two (e8m0).
    """
    columns, count = uint64(rows.shape[1]), uint64(group_size)
    greatest = np.float32(6 if bits == 4 else 448)
    numbers, codes, scratch = np.empty(columns, np.int32), np.empty(columns, np.uint8), np.empty(1, np.int32)
    values, words, wide = numbers.view(np.float32), codes.view(np.uint64), np.empty(1, np.int64)
    finite = True
    for i in range(uint64(rows.shape[0])):
        widen(rows[i], kind, numbers)
        for group in range(columns // count):
            start = group * count
            most = np.int32(0)
            for j in range(start, start + count):
                most = max(most, np.int32(numbers[j] & MAGNITUDE))
            finite &= most < INFINITY
            scratch[0] = most
            largest = scratch.view(np.float32)[0]
            scale = rounded(largest / greatest, kind, scratch)
            scratch.view(np.float32)[0] = scale
            if group_size == 16:
                code = e4m3(scratch[0], scale)
                scales[i, group] = np.uint8(code)
                scale = e4m3_value(code)
            else:
                n = np.int64(0)
                if scale == np.float32(0):
                    scale = np.float32(1)
                else:
                    n, scale = power_above(scale, wide)
                scales[i, group] = np.uint8(n + np.int64(127))
            if scale == np.float32(0):
                for j in range(start, start + count):
                    codes[j] = np.uint8(0)
                continue
            for j in range(start, start + count):
                values[j] = values[j] / scale
            if bits == 8:
                e4m3_codes(numbers, start, count, codes)
            elif largest / scale > np.float32(16):
                far_e2m1_codes(values, start, count, table, kind, codes, scratch)
            else:
                e2m1_codes(values, start, count, limits, codes)
        pack(words, bits, weight[i])
    return finite
