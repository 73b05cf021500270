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
BYTE, WORD = uint64(8), uint64(32)


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
