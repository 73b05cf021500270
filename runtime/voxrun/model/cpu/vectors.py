"""Vectors of floats in compiled loops: instructions of LLVM, which turns them into those of any processor.

Each function takes an `llvmlite.ir.IRBuilder` and adds instructions to the code that it builds. No compiler
is needed where they run: numba brings LLVM along.
"""

from collections.abc import Iterable
from typing import Any

from llvmlite import ir
from numba.core import cgutils as numba_cgutils
from numba.core.registry import cpu_target

cgutils: Any = numba_cgutils  # it has no types

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2]
WIDE = "+avx512f" in _FEATURES
"""Whether the processor has 32 registers of 64 bytes."""
LANES = 16 if WIDE else 8
"""Values of a vector; eight are two registers where these are small."""

BYTE, HALF, INT, LONG, FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType()
FLOATS, INTS, HALVES = (ir.VectorType(kind, LANES) for kind in (FLOAT, INT, HALF))


def number(value: int) -> ir.Constant:
    """An index or an offset."""
    return ir.Constant(LONG, value)


def ints(values: Iterable[int]) -> ir.Constant:
    """A vector of integers."""
    listed = list(values)
    return ir.Constant(ir.VectorType(INT, len(listed)), listed)


def every(value: int) -> ir.Constant:
    """The same integer in all lanes."""
    return ints([value] * LANES)


def every_float(value: float) -> ir.Constant:
    """The same float in all lanes."""
    return ir.Constant(FLOATS, [value] * LANES)


def at(builder: Any, start: Any, offset: Any) -> Any:
    """The address `offset` elements behind `start`."""
    return builder.gep(start, [offset])


def load(builder: Any, address: Any, kind: Any, align: int) -> Any:
    """A vector of type `kind`, from an address that is a multiple of `align`."""
    return builder.load(builder.bitcast(address, kind.as_pointer()), align=align)


def store(builder: Any, vector: Any, address: Any) -> None:
    """Write floats."""
    builder.store(vector, builder.bitcast(address, FLOATS.as_pointer()), align=4)


def prefetch(builder: Any, address: Any) -> None:
    """Ask memory for what is at an address; one that does not exist does no harm."""
    kind = ir.FunctionType(ir.VoidType(), [address.type, INT, INT, INT])
    function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
    reading, kept, data = 0, 3, 1
    builder.call(function, [address, *(ir.Constant(INT, value) for value in (reading, kept, data))])


def splat(builder: Any, value: Any) -> Any:
    """One float in all lanes."""
    nothing = ir.Constant(FLOATS, ir.Undefined)
    return builder.shuffle_vector(
        builder.insert_element(nothing, value, ir.Constant(INT, 0)), nothing, every(0)
    )


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """A * b + c, rounded once where the processor can."""
    kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fmuladd.v{LANES}f32")
    return builder.call(function, [a, b, c])


def sum_of_lanes(builder: Any, vector: Any) -> Any:
    """Their sum, by halves."""
    lanes = LANES
    while lanes > 1:
        lanes //= 2
        nothing = ir.Constant(vector.type, ir.Undefined)
        low = builder.shuffle_vector(vector, nothing, ints(range(lanes)))
        high = builder.shuffle_vector(vector, nothing, ints(range(lanes, 2 * lanes)))
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, ir.Constant(INT, 0))
