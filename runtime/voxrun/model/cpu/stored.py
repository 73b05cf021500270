"""How weights are stored, and the instructions that turn a vector of them into floats.

A row is a stream of bits, the lowest first: value j of a row of b bits begins at bit j * b. `LANES` values
are whole bytes for any b, and a value of up to 8 bits lies in two neighbouring bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from . import vectors
from .vectors import FLOATS, INTS, LANES, every, every_float, ints, multiply_add

CODES, SMALL_FLOATS, BFLOAT16, FLOAT16, FLOAT32 = range(5)
"""A stored weight is a code for code * scale + bias, a small float for float * scale, or the number."""
MANTISSA = {4: 1, 8: 3}
"""Bits of a small float -> those of its mantissa: e2m1 and e4m3."""


@dataclass(frozen=True)
class Stored:
    """A way to store a matrix."""

    kind: int
    bits: int
    group: int
    """Columns that share a scale, or are computed in one step of a loop; a multiple of LANES."""
    shifted: int = 1
    """1 if scales are bfloat16, the upper half of a float32; 0 if they are looked up in a table."""

    @property
    def name(self) -> str:
        """A name from which it can be made again."""
        return f"{self.kind} {self.bits} {self.group} {self.shifted}"

    @classmethod
    def named(cls, name: str) -> "Stored":
        """The one of this name; what follows the name does not matter."""
        return cls(*map(int, name.split()[:4]))

    @property
    def scalings(self) -> int:
        """Numbers of a group: a scale, a scale and a bias, or none."""
        return {CODES: 2, SMALL_FLOATS: 1}.get(self.kind, 0)

    def scale(self, builder: Any, scales: Any, table: Any, index: Any) -> Any:
        """The scale, or the bias, of a group in all lanes."""
        pattern = builder.load(vectors.at(builder, scales, index))
        if self.shifted:
            wide = builder.shl(builder.zext(pattern, vectors.INT), ir.Constant(vectors.INT, 16))
            return vectors.splat(builder, builder.bitcast(wide, vectors.FLOAT))
        return vectors.splat(
            builder, builder.load(vectors.at(builder, table, builder.zext(pattern, vectors.LONG)))
        )

    def weights(self, builder: Any, address: Any, scaling: Sequence[Any]) -> Any:
        """The LANES weights that begin at this address, by the scale and the bias of their group."""
        if self.kind == CODES:
            return multiply_add(
                builder, builder.sitofp(_codes(builder, address, self.bits), FLOATS), *scaling
            )
        if self.kind == SMALL_FLOATS:
            codes = _codes(builder, address, self.bits)
            return builder.fmul(_small_floats(builder, codes, self.bits), *scaling)
        if self.kind == FLOAT32:
            return vectors.load(builder, address, FLOATS, 4)
        halves = builder.zext(vectors.load(builder, address, vectors.HALVES, 2), INTS)
        if self.kind == BFLOAT16:
            return builder.bitcast(builder.shl(halves, every(16)), FLOATS)
        return _from_float16(builder, halves)


def _codes(builder: Any, address: Any, bits: int) -> Any:
    """LANES integers of so many bits."""
    raw = vectors.load(builder, address, ir.VectorType(vectors.BYTE, LANES * bits // 8), 1)
    nothing = ir.Constant(raw.type, ir.Undefined)
    first = [lane * bits // 8 for lane in range(LANES)]
    if bits == 8:
        return builder.zext(raw, INTS)
    if 8 % bits == 0:  # no value lies in two bytes
        wide = builder.zext(builder.shuffle_vector(raw, nothing, ints(first)), INTS)
    else:
        pairs = ints(byte for one in first for byte in (one, min(one + 1, raw.type.count - 1)))
        both = builder.bitcast(
            builder.shuffle_vector(raw, nothing, pairs), ir.VectorType(vectors.HALF, LANES)
        )
        wide = builder.zext(both, INTS)
    shifted = builder.lshr(wide, ints(lane * bits % 8 for lane in range(LANES)))
    return builder.and_(shifted, every(2**bits - 1))


def _small_floats(builder: Any, codes: Any, bits: int) -> Any:
    """The values of small floats: a sign, an exponent of which 0 stands for subnormals, a mantissa."""
    mantissa = MANTISSA[bits]
    bias = 2 ** (bits - 2 - mantissa) - 1
    size = builder.and_(codes, every(2 ** (bits - 1) - 1))
    shifted = builder.add(builder.shl(size, every(23 - mantissa)), every(127 - bias << 23))
    normal = builder.bitcast(shifted, FLOATS)  # of subnormals 2^-bias (1 + m) instead of 2^(1 - bias) m
    subnormal = builder.fmul(builder.fsub(normal, every_float(2.0**-bias)), every_float(2.0))
    value = builder.select(builder.icmp_unsigned("<", size, every(2**mantissa)), subnormal, normal)
    if bits == 8:  # e4m3's only code that is not a number
        value = builder.select(
            builder.icmp_unsigned("==", size, every(127)), every_float(float("nan")), value
        )
    sign = builder.shl(builder.lshr(codes, every(bits - 1)), every(31))
    return builder.bitcast(builder.or_(builder.bitcast(value, INTS), sign), FLOATS)


def _from_float16(builder: Any, halves: Any) -> Any:
    size = builder.bitcast(builder.shl(builder.and_(halves, every(0x7FFF)), every(13)), FLOATS)
    scaled = builder.fmul(size, every_float(2.0**112))  # its exponents begin 112 above float32's
    sign = builder.shl(builder.and_(halves, every(0x8000)), every(16))
    return builder.bitcast(builder.or_(builder.bitcast(scaled, INTS), sign), FLOATS)
