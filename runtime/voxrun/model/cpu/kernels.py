"""Compiled loops for a CPU: stored weights to float32, and their products with a few rows of activations.

MLX's quantized product on a CPU reads about 0.6 GB/s of packed weights. These read several GB/s on each core,
directly from the mapped file, and release the interpreter lock.

A pack is the smallest number of whole bytes that holds whole values: three bytes for four values of 6 bits.
Within a group, values are unpacked plane by plane: the first of each pack, then the second of each, so that a
loop has one shift and one stride; `packed` brings the activations into the same order. Strides are literals
and indices unsigned: loops with an unknown stride, or an index that may be negative, are not vectorized.
"""

from typing import Any

import numpy as np
from numba import njit, uint64

INTEGERS, FLOATS, BFLOAT16, FLOAT16 = range(4)
"""How a weight is stored: as a code for code * scale + bias, for table[code] * scale, or as the number."""
ONE, TWO, THREE, FOUR, FIVE = (uint64(n) for n in range(1, 6))
SUMS_IN_ANY_ORDER = {"reassoc", "contract", "nsz"}


def compiled(function: Any) -> Any:
    """Compile to machine code, cached on disk for the next process if a folder for it is writable."""
    try:
        return njit(function, fastmath=SUMS_IN_ANY_ORDER, nogil=True, cache=True)
    except RuntimeError:  # no cache beside this file or in the home folder
        return njit(function, fastmath=SUMS_IN_ANY_ORDER, nogil=True)


def inlined(function: Any) -> Any:
    """Compile into the caller's machine code."""
    return njit(function, fastmath=SUMS_IN_ANY_ORDER, nogil=True, inline="always")


@inlined
def split_bytes(packed, row, size, out):  # type: ignore
    """The first byte of each pack, then the second of each, ...: out [size, packs]."""
    for byte in range(size):
        if size == THREE:
            for j in range(uint64(out.shape[1])):
                out[byte, j] = packed[row, THREE * j + byte]
        else:
            for j in range(uint64(out.shape[1])):
                out[byte, j] = packed[row, FIVE * j + byte]


@inlined
def unpack_bytes(packed, row, start, count, shift, bits, scale, bias, out, at):  # type: ignore
    """One plane of a group of packs of one byte: from each the value at bit `shift`."""
    mask = np.int32((1 << bits) - 1)
    for j in range(count):
        out[at + j] = np.float32((np.int32(packed[row, start + j]) >> shift) & mask) * scale + bias


@inlined
def unpack_pairs(split, low, high, start, count, shift, bits, scale, bias, out, at):  # type: ignore
    """The same for larger packs: the value at bit `shift` of bytes `low` and `high`."""
    mask = np.int32((1 << bits) - 1)
    for j in range(count):
        both = np.int32(split[low, start + j]) | np.int32(split[high, start + j]) << 8
        out[at + j] = np.float32((both >> shift) & mask) * scale + bias


@inlined
def unpack_floats(packed, row, start, count, shift, bits, scale, table, out, at):  # type: ignore
    """One plane of a group whose codes are small floats, by their table [2 ** bits]."""
    mask = np.int32((1 << bits) - 1)
    for j in range(count):
        out[at + j] = table[(np.int32(packed[row, start + j]) >> shift) & mask] * scale


@inlined
def unpack_halves(packed, row, kind, out):  # type: ignore
    """One row of 16-bit floats, low byte first."""
    numbers, columns = out.view(np.uint32), uint64(out.shape[0])
    if kind == BFLOAT16:
        for j in range(columns):
            low, high = np.uint32(packed[row, TWO * j]), np.uint32(packed[row, TWO * j + ONE])
            numbers[j] = low << np.uint32(16) | high << np.uint32(24)
    else:
        for j in range(columns):
            half = np.uint32(packed[row, TWO * j]) | np.uint32(packed[row, TWO * j + ONE]) << np.uint32(8)
            sign = (half & np.uint32(0x8000)) << np.uint32(16)
            numbers[j] = sign | (half & np.uint32(0x7FFF)) << np.uint32(13)
        for j in range(columns):
            out[j] = out[j] * np.float32(2.0**112)  # float16's exponents begin 112 above float32's


@compiled
def unpack(packed, scales, biases, decode, table, kind, bits, row, out):  # type: ignore
    """One row of weights [columns] as float32.

    `packed` [rows, bytes]; `scales` and `biases` [rows, groups] as stored, `decode` their values by bit
    pattern. A kind without groups has one scale and does not use it.
    """
    if kind in (BFLOAT16, FLOAT16):
        unpack_halves(packed, row, kind, out)
        return
    planes = 8
    while planes > 1 and planes * bits // 2 % 8 == 0:  # the fewest values that fill whole bytes
        planes //= 2
    groups, size = uint64(scales.shape[1]), uint64(planes * bits // 8)
    count = uint64(out.shape[0]) // groups // uint64(planes)
    split = np.empty((size, groups * count if size > ONE else ONE), np.uint8)
    if size > ONE:
        split_bytes(packed, row, size, split)
    for group in range(groups):
        scale, bias, start = decode[scales[row, group]], decode[biases[row, group]], group * count
        for plane in range(planes):
            at, shift = (group * uint64(planes) + uint64(plane)) * count, np.int32(plane * bits % 8)
            if kind == FLOATS:
                unpack_floats(packed, row, start, count, shift, bits, scale, table, out, at)
            elif size == ONE:
                unpack_bytes(packed, row, start, count, shift, bits, scale, bias, out, at)
            else:
                low = uint64(plane * bits // 8)
                high = min(low + ONE, size - ONE)
                unpack_pairs(split, low, high, start, count, shift, bits, scale, bias, out, at)


@compiled
def unpack_rows(packed, scales, biases, decode, table, kind, bits, first, out):  # type: ignore
    """The rows from `first` on, out [rows, columns]."""
    for i in range(uint64(out.shape[0])):
        unpack(packed, scales, biases, decode, table, kind, bits, uint64(first) + i, out[i])


@compiled
def dots(weights, x, out, row):  # type: ignore
    """Weights [columns] times each of x [n, columns], four at a time, into out [n, rows] at `row`."""
    n, columns = uint64(x.shape[0]), uint64(x.shape[1])
    i = uint64(0)
    while i + FOUR <= n:
        a = b = c = d = np.float32(0)
        for j in range(columns):
            w = weights[j]
            a += w * x[i, j]
            b += w * x[i + ONE, j]
            c += w * x[i + TWO, j]
            d += w * x[i + THREE, j]
        out[i, row], out[i + ONE, row], out[i + TWO, row], out[i + THREE, row] = a, b, c, d
        i += FOUR
    while i < n:
        a = np.float32(0)
        for j in range(columns):
            a += weights[j] * x[i, j]
        out[i, row] = a
        i += ONE


@compiled
def product(packed, scales, biases, decode, table, kind, bits, first, last, x, out):  # type: ignore
    """X [n, columns] times the rows `first` to `last`, into those columns of out [n, rows]."""
    weights = np.empty(x.shape[1], np.float32)
    for row in range(uint64(first), uint64(last)):
        unpack(packed, scales, biases, decode, table, kind, bits, row, weights)
        dots(weights, x, out, row)
