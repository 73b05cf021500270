"""The SHA-256 of blocks, as a compiled loop, for machines without a library that does it (FIPS 180-4)."""

import numpy as np
from numba import uint32

from .kernels import compiled


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _fraction(number: int, root: int) -> int:
    """The first 32 bits of the fraction of a root of a number."""
    low, high = 0, 2**40
    while low < high:
        middle = (low + high + 1) // 2
        if middle**root <= number << 32 * root:
            low = middle
        else:
            high = middle - 1
    return low % 2**32


CONSTANTS = np.array([_fraction(prime, 3) for prime in _primes(64)], np.uint32)


@compiled
def _turned(word, count):  # type: ignore
    """A word turned right."""
    return uint32((word >> uint32(count)) | (word << uint32(32 - count)))


@compiled
def compress(state, blocks):  # type: ignore
    """Hash blocks of 16 little-endian words into the state."""
    words = np.empty(64, np.uint32)
    for i in range(blocks.shape[0]):
        for t in range(16):
            x = blocks[i, t]
            outer = uint32((x >> uint32(24)) | (x << uint32(24)))
            words[t] = outer | ((x >> uint32(8)) & uint32(0xFF00)) | ((x << uint32(8)) & uint32(0xFF0000))
        for t in range(16, 64):
            x, y = words[t - 15], words[t - 2]
            one = _turned(x, 7) ^ _turned(x, 18) ^ (x >> uint32(3))
            other = _turned(y, 17) ^ _turned(y, 19) ^ (y >> uint32(10))
            words[t] = uint32(words[t - 16] + one + words[t - 7] + other)
        a, b, c, d = state[0], state[1], state[2], state[3]
        e, f, g, h = state[4], state[5], state[6], state[7]
        for t in range(64):
            turned = _turned(e, 6) ^ _turned(e, 11) ^ _turned(e, 25)
            one = uint32(h + turned + (g ^ (e & (f ^ g))) + CONSTANTS[t] + words[t])
            other = uint32((_turned(a, 2) ^ _turned(a, 13) ^ _turned(a, 22)) + ((a & b) | (c & (a | b))))
            h, g, f, e = g, f, e, uint32(d + one)
            d, c, b, a = c, b, a, uint32(one + other)
        state[0] += a
        state[1] += b
        state[2] += c
        state[3] += d
        state[4] += e
        state[5] += f
        state[6] += g
        state[7] += h
