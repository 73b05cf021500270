"""Compiled loops that cast and quantize rows of weights: bit for bit as MLX does on a CPU.

Here are casts and affine groups; `small_floats` has the other formats.

All arithmetic is IEEE float32 in MLX's order: true divisions, no fused operations. Each stage is a separate
loop over one row, so that it vectorizes; for the same reason minima are taken over integers with the order of
the floats, indices are unsigned, integers have 32 bits, and dividing by zero is not an error.

`numbers` are the bits of float32 as int32; `values` is the same memory as float32; `kind` the stored dtype.
"""

from typing import Any

import numpy as np
from numba import njit, uint64

BFLOAT16, FLOAT16, FLOAT32 = range(3)
ONE, WORD = uint64(1), uint64(32)
MAGNITUDE, INFINITY = np.int32(0x7FFFFFFF), np.int32(0x7F800000)
EPSILON = np.float32(1e-7)
# A format of small floats: how many mantissa bits fewer than float32; least normal number and upper limit, as
# bits of float32; 1 divided by the least step.
HALF = np.int32(13), np.int32(0x38800000), np.int32(0x47800000), np.float32(2.0**24)
BLOCK = 4096


def compiled(function: Any) -> Any:
    """Compile a function; the machine code is cached on disk if possible."""
    try:
        return njit(function, nogil=True, error_model="numpy", cache=True)
    except RuntimeError:  # neither this folder nor the home folder is writable
        return njit(function, nogil=True, error_model="numpy")


@compiled
def wide(stored, kind):  # type: ignore
    """A stored float as the bits of a float32; a float16 NaN becomes infinite."""
    if kind == BFLOAT16:
        return np.int32(np.uint32(stored) << np.uint32(16))
    if kind == FLOAT32:
        return np.int32(stored)
    half = np.int32(stored)
    magnitude = np.int32(np.int32(half & np.int32(0x7FFF)) << np.int32(13))
    if magnitude >= np.int32(0x7C00 << 13):  # not finite, and still so after the product below
        magnitude |= np.int32(0x40000000)
    number = np.int32(magnitude | np.int32(np.int32(half >> np.int32(15)) << np.int32(31)))
    # float16's exponents begin 112 above float32's
    return np.float32(np.int32(number).view(np.float32) * np.float32(2.0**112)).view(np.int32)


@compiled
def widen(stored, kind, numbers):  # type: ignore
    """Stored floats [n] to float32."""
    for j in range(uint64(stored.shape[0])):
        numbers[j] = wide(stored[j], kind)


@compiled
def small_float(number, form):  # type: ignore
    """The code of a float32's magnitude in a small format, rounded to nearest even."""
    drop, least, greatest, steps = form
    magnitude = min(np.int32(number & MAGNITUDE), greatest)
    odd = np.int32(magnitude >> drop) & np.int32(1)
    half = np.int32((1 << (drop - 1)) - 1)
    normal = np.int32(magnitude + odd + half + np.int32(np.int32(1 << 23) - least)) >> drop
    even = np.int32(
        np.rint(np.int32(number & MAGNITUDE).view(np.float32) * steps)
    )  # steps are even below the least normal
    return np.int32(normal if magnitude >= least else even)


@compiled
def narrow(numbers, kind, stored):  # type: ignore
    """Float32 [n] to stored floats."""
    for j in range(uint64(stored.shape[0])):
        stored[j] = short(numbers[j], kind)


@compiled
def short(number, kind):  # type: ignore
    """The bits of a float32 as a stored float, rounded to nearest even."""
    if kind == FLOAT32:
        return np.uint32(number)
    finite = np.int32(number & MAGNITUDE) <= INFINITY
    if kind == BFLOAT16:
        bits = np.uint32(number)
        odd = np.uint32(bits >> np.uint32(16)) & np.uint32(1)
        rounded = np.uint32(np.uint32(bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))
        return rounded if finite else np.uint32(0x7FC0)
    sign = np.int32(np.int32(number) >> np.int32(16)) & np.int32(0x8000)
    half = small_float(number, HALF) if finite else np.int32(0x7E00)
    return np.uint32(sign | half)


@compiled
def cast(rows, kind, to, out):  # type: ignore
    """Stored floats [n] of one kind to another, rounded to nearest even."""
    n = uint64(rows.shape[0])
    numbers = np.empty(min(n, uint64(BLOCK)), np.int32)
    for start in range(uint64(0), n, uint64(BLOCK)):
        stop = min(start + uint64(BLOCK), n)
        widen(rows[start:stop], kind, numbers)
        narrow(numbers, to, out[start:stop])


@compiled
def greatest_magnitude(stored):  # type: ignore
    """The greatest magnitude of stored floats [n], as an integer with the same order."""
    most = stored.dtype.type(0)
    mask = stored.dtype.type((1 << (8 * stored.itemsize - 1)) - 1)
    for j in range(uint64(stored.shape[0])):
        most = max(most, stored[j] & mask)
    return most


@compiled
def extremes(rows, count, low, high):  # type: ignore
    """The least and the greatest of each group of `count` stored floats [n, columns], as bits [n, groups].

    All are signed integers; what is not finite is beyond all that is.
    """
    sign = rows.dtype.type(8 * rows.itemsize - 1)
    magnitude = rows.dtype.type((1 << (8 * rows.itemsize - 1)) - 1)
    for i in range(uint64(low.shape[0])):
        for group in range(uint64(low.shape[1])):
            least, most = magnitude, rows.dtype.type(~magnitude)
            for j in range(group * uint64(count), (group + ONE) * uint64(count)):
                # an integer with the order of the floats; the same gives the float back
                key = rows.dtype.type(rows[i, j] ^ rows.dtype.type(rows[i, j] >> sign & magnitude))
                least, most = min(least, key), max(most, key)
            low[i, group] = least ^ rows.dtype.type(least >> sign & magnitude)
            high[i, group] = most ^ rows.dtype.type(most >> sign & magnitude)


@compiled
def affine_lines(low, high, steps, scale, bias):  # type: ignore
    """Scale and bias of each group: the extreme farther from zero and zero itself are exact."""
    for group in range(uint64(low.shape[0])):
        below = abs(low[group]) > abs(high[group])
        edge = low[group] if below else high[group]
        step = max((high[group] - low[group]) / steps, EPSILON)
        step = step if below else -step
        whole = np.rint(edge / step)
        if whole == np.float32(0):
            scale[group], bias[group] = step, np.float32(0)
        else:
            scale[group], bias[group] = edge / whole, edge


@compiled
def affine_codes(values, count, scale, bias, top, codes):  # type: ignore
    """The nearest code of each value, ties to even."""
    for group in range(uint64(scale.shape[0])):
        step, offset = scale[group], bias[group]
        for j in range(group * count, (group + ONE) * count):
            code = np.int32(np.rint((values[j] - offset) / step))
            codes[j] = np.uint8(min(max(code, np.int32(0)), top))


@compiled
def pack(words, bits, packed):  # type: ignore
    """Pack codes of one byte each, eight in a word, to `bits` each, low bits first."""
    if bits == 8:
        packed[:] = words.view(np.uint32)
        return
    if bits == 4:  # most artifacts, and much shorter than what follows
        pairs, bytes_ = words.view(np.uint16), packed.view(np.uint8)
        for j in range(uint64(pairs.shape[0])):
            bytes_[j] = np.uint8(pairs[j] | pairs[j] >> np.uint16(4))
        return
    # Three times, each two neighbouring fields become one: `low` masks what stays, `high` what moves.
    one, two, four = np.uint64(bits), np.uint64(2 * bits), np.uint64(4 * bits)
    low1 = np.uint64((1 << bits) - 1) * np.uint64(0x0001000100010001)
    low2 = np.uint64((1 << 2 * bits) - 1) * np.uint64(0x0000000100000001)
    low4 = np.uint64((1 << 4 * bits) - 1)
    high1, high2, high4 = low1 << one, low2 << two, low4 << four
    gap1, gap2, gap4 = np.uint64(8) - one, np.uint64(16) - two, np.uint64(32) - four
    for j in range(uint64(words.shape[0])):
        x = words[j]
        x = x & low1 | x >> gap1 & high1
        x = x & low2 | x >> gap2 & high2
        words[j] = x & low4 | x >> gap4 & high4
    # So many words are whole words of 32 bits together; each of these begins in one and may end in the next.
    period = uint64(2) if bits % 2 == 0 else uint64(4)
    size = uint64(8 * bits)
    filled = size * period // WORD
    for i in range(filled):
        at = WORD * i // size
        begun, after = WORD * i - at * size, min(at + ONE, period - ONE)
        for k in range(uint64(words.shape[0]) // period):
            low, high = words[k * period + at], words[k * period + after]
            packed[k * filled + i] = np.uint32(low >> begun | high << (size - begun - ONE) << ONE)


@compiled
def pack_rows(codes, width, weight):  # type: ignore
    """Codes [n, columns] -> weight uint32 [n, columns * width / 32]."""
    words = codes.view(np.uint64)
    for i in range(uint64(codes.shape[0])):
        pack(words[i], width, weight[i])


@compiled
def affine(rows, kind, bits, lows, highs, weight, scales, biases):  # type: ignore
    """Quantize rows [n, columns] of stored floats, whose groups have these `extremes`.

    `weight` uint32 [n, columns * bits / 32]; `scales` and `biases` [n, columns / group_size] of that kind.
    """
    columns, top = uint64(rows.shape[1]), np.int32((1 << bits) - 1)
    low, high, scale, bias = np.empty((4, lows.size), np.int32)
    widen(lows.reshape(-1), kind, low)
    widen(highs.reshape(-1), kind, high)
    line = scale.view(np.float32), bias.view(np.float32)
    affine_lines(low.view(np.float32), high.view(np.float32), np.float32(top), line[0], line[1])
    narrow(scale, kind, scales.reshape(-1))
    narrow(bias, kind, biases.reshape(-1))
    groups = uint64(lows.shape[1])
    numbers, codes = np.empty(columns, np.int32), np.empty(columns, np.uint8)
    for i in range(uint64(rows.shape[0])):
        widen(rows[i], kind, numbers)
        first, last = i * groups, (i + ONE) * groups
        steps, offsets = line[0][first:last], line[1][first:last]
        affine_codes(numbers.view(np.float32), columns // groups, steps, offsets, top, codes)
        pack(codes.view(np.uint64), bits, weight[i])
