"""Compiled loops for a CPU: stored weights to float32, and their products with rows of activations.

They read packed weights directly from the mapped file, nearly as fast as memory gives them, and release the
interpreter lock. An output is the sum over columns in one order, whatever is computed beside it: it depends
neither on the number of rows of activations nor on that of cores.
"""

import inspect
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from numba import njit, types, uint64
from numba.core.extending import intrinsic as numba_intrinsic

from . import stored, vectors
from .stored import FLOAT32, Stored
from .vectors import BYTE, FLOATS, LANES, WIDE, at, cgutils, load, multiply_add, number, store, sum_of_lanes

intrinsic: Any = numba_intrinsic  # it takes one argument less than the function
BLOCK_ROWS = 4
"""Rows of weights in a block: a vector of activations is loaded once for all of them."""
FEW_ROWS = 4 if WIDE else 2
"""Rows of activations in a block, at most: its sums stay in registers."""
AHEAD = 2 * BLOCK_ROWS
"""Rows of weights that memory is asked for in advance: it gives a tenth more."""
DIRECT_ROWS = 3 * FEW_ROWS
"""Up to this many rows of activations, weights are unpacked in registers, for more in a core's cache."""
TILE_ROWS, TILE_COLUMNS = 16, 512
"""Weights that are unpacked in a core's cache together."""
SOURCES = zlib.crc32("".join(map(inspect.getsource, (stored, vectors))).encode())
"""A part of the name of what is kept on disk: numba looks for changes in this file only."""


def compiled(function: Any, **options: Any) -> Any:
    """Compile to machine code, cached on disk for the next process if a folder for it is writable."""
    try:
        return njit(function, nogil=True, cache=True, **options)
    except RuntimeError:  # no cache beside this file or in the home folder
        return njit(function, nogil=True, **options)


class Kernels(NamedTuple):
    """The compiled functions for one way to store a matrix, given as (packed, scales, biases, table)."""

    product: Any
    """(*matrix, first, last, x, out): x [n, columns] times the rows of weights `first` to `last`, at least
    TILE_ROWS, into those columns of out. There are DIRECT_ROWS or less, or a multiple of FEW_ROWS."""
    unpack: Any
    """(*matrix, first, out): the rows from `first` on, as out [n, columns]."""


@cache
def kernels(how: Stored) -> Kernels:
    """Those for matrices stored like this, compiled when they are first called."""
    form, floats = f"{how.name} {SOURCES}", f"{Stored(FLOAT32, 32, how.group).name} {SOURCES}"

    @compiled
    def unpack(packed, scales, biases, table, first, out):  # type: ignore
        for i in range(uint64(out.shape[0])):
            row, columns = uint64(first) + i, uint64(out.shape[1])
            unpack_row(packed, scales, biases, table, row, uint64(0), columns, out, i, form)

    @compiled
    def product(packed, scales, biases, table, first, last, x, out):  # type: ignore
        n, columns, few, none = uint64(x.shape[0]), uint64(x.shape[1]), uint64(FEW_ROWS), uint64(0)
        rows, direct = uint64(TILE_ROWS), n <= uint64(DIRECT_ROWS)
        step = columns if direct else uint64(TILE_COLUMNS)
        sums, tile = np.empty((n, rows * LANES), np.float32), np.empty((TILE_ROWS, TILE_COLUMNS), np.float32)
        for start in range(uint64(first), uint64(last), rows):
            row = min(start, uint64(last) - rows)  # the last rows may be computed twice
            sums[:] = 0
            for column in range(none, columns, step):
                width = min(step, columns - column)
                if not direct:
                    for j in range(rows):
                        unpack_row(packed, scales, biases, table, row + j, column, width, tile, j, form)
                for i in range(none, n, few):
                    count = min(few, n - i)
                    for j in range(none, rows, uint64(BLOCK_ROWS)):
                        if direct:
                            at, k = column, row + j
                            add(packed, scales, biases, table, k, at, x, i, count, at, width, sums, j, form)
                        else:
                            add(tile, tile, tile, table, j, none, x, i, few, column, width, sums, j, floats)
            for i in range(n):
                for j in range(rows):
                    out[i, row + j] = total(sums, i, j)

    return Kernels(product, unpack)


@intrinsic(prefer_literal=True)
def unpack_row(typing, packed, scales, biases, table, row, first, columns, out, to, form):  # type: ignore
    """The weights of a row, `columns` of them from `first` on, into out[to]."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        matrix = _Matrix(context, builder, signature.args, values, form.literal_value)
        out = _Rows(context, builder, signature.args[7], values[7])
        row, first, columns, _, to = values[4:9]
        with matrix.groups(first, columns) as (group, vectors):
            scaling = matrix.scaling(row, group)
            for stored, unpacked in vectors:
                store(builder, matrix.weights(row, stored, scaling), out.address(to, unpacked))
        return context.get_dummy_value()

    integer = types.uint64
    return types.void(packed, scales, biases, table, integer, integer, integer, out, integer, form), build


@intrinsic(prefer_literal=True)
def add(typing, packed, scales, biases, table, row, start, x, i, n, first, columns, sums, to, form):  # type: ignore
    """Add to `sums` the products of BLOCK_ROWS rows of weights and n rows of activations, n <= FEW_ROWS.

    The weights' rows begin at `row`, their columns at `start`; the activations' at `i` and `first`. A product
    is LANES sums, sums[activations, weights * LANES]; the first row of weights is at `to`.
    """

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        matrix = _Matrix(context, builder, signature.args, values, form.literal_value)
        x, sums = (_Rows(context, builder, signature.args[k], values[k]) for k in (6, 11))
        row, start, _, i, n, first, columns, _, to = values[4:13]
        for count in range(1, FEW_ROWS + 1):
            with builder.if_then(builder.icmp_unsigned("==", n, number(count))):
                activations = [builder.add(i, number(k)) for k in range(count)]
                _add(builder, matrix, row, start, x, activations, first, columns, sums, to)
        return context.get_dummy_value()

    integer = types.uint64
    arguments = (integer, integer, x, integer, integer, integer, integer, sums, integer, form)
    return types.void(packed, scales, biases, table, *arguments), build


def _add(builder, matrix, row, start, x, activations, first, columns, sums, to) -> None:  # type: ignore
    rows = [builder.add(row, number(k)) for k in range(BLOCK_ROWS)]
    places = [[sums.address(i, builder.add(to, number(k))) for k in range(BLOCK_ROWS)] for i in activations]
    registers = [[cgutils.alloca_once(builder, FLOATS) for _ in rows] for _ in activations]
    both = list(zip(chain(*places), chain(*registers), strict=True))
    for place, register in both:
        builder.store(load(builder, place, FLOATS, 4), register)
    with matrix.groups(start, columns) as (group, vectors):
        scalings = [matrix.scaling(row, group) for row in rows]
        for row in rows:
            matrix.prefetch(builder.add(row, number(AHEAD)), vectors[0][0])
        for vector, behind in vectors:
            weights = [matrix.weights(row, vector, s) for row, s in zip(rows, scalings, strict=True)]
            of_x = builder.add(builder.udiv(first, number(LANES)), behind)
            for i, of_row in zip(activations, registers, strict=True):
                values = load(builder, x.address(i, of_x), FLOATS, 4)
                for weight, one in zip(weights, of_row, strict=True):
                    builder.store(multiply_add(builder, weight, values, builder.load(one)), one)
    for place, register in both:
        store(builder, builder.load(register), place)


@intrinsic
def total(typing, sums, row, vector):  # type: ignore
    """The sum of LANES floats."""

    def build(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rows = _Rows(context, builder, signature.args[0], values[0])
        return sum_of_lanes(builder, load(builder, rows.address(*values[1:]), FLOATS, 4))

    return types.float32(sums, types.uint64, types.uint64), build


class _Rows:
    """An array of floats [n, columns] in the code that is built."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        array = context.make_array(kind)(context, builder, value)
        self._builder, self._data = builder, array.data
        self._columns = cgutils.unpack_tuple(builder, array.shape, 2)[1]

    def address(self, row: Any, vector: Any) -> Any:
        """Where column `vector` * LANES of a row is."""
        builder = self._builder
        column = builder.mul(vector, number(LANES))
        return at(builder, self._data, builder.add(builder.mul(row, self._columns), column))


class _Matrix:
    """A stored matrix in the code that is built."""

    def __init__(self, context: Any, builder: Any, kinds: Any, values: Any, form: str) -> None:
        """`kinds` and `values` begin with those of packed, scales, biases and table."""
        pairs = zip(kinds[:4], values[:4], strict=True)
        packed, scales, biases, table = (context.make_array(k)(context, builder, v) for k, v in pairs)
        self._builder, self._how = builder, Stored.named(form)
        self._packed = builder.bitcast(packed.data, BYTE.as_pointer())
        self._row_bytes = cgutils.unpack_tuple(builder, packed.strides, 2)[0]
        self._scales, self._biases, self._table = scales.data, biases.data, table.data
        self._in_row = cgutils.unpack_tuple(builder, scales.shape, 2)[1]

    @contextmanager
    def groups(self, first: Any, columns: Any) -> Iterator[Any]:
        """A loop over the groups of `columns` from `first` on; what is built in this context is its body.

        It is given the group and its vectors, pairs: counted from the start of the row, and from `first`.
        """
        builder, size, count = self._builder, self._how.group, self._how.group // LANES
        with cgutils.for_range(builder, builder.udiv(columns, number(size))) as loop:
            group = builder.add(builder.udiv(first, number(size)), loop.index)
            starts = [builder.mul(index, number(count)) for index in (group, loop.index)]
            yield group, [[builder.add(start, number(k)) for start in starts] for k in range(count)]

    def scaling(self, row: Any, group: Any) -> list[Any]:
        """The scale and the bias of a group, as far as there are any."""
        builder, arrays = self._builder, (self._scales, self._biases)[: self._how.scalings]
        index = builder.add(builder.mul(row, self._in_row), group)
        return [self._how.scale(builder, array, self._table, index) for array in arrays]

    def prefetch(self, row: Any, vector: Any) -> None:
        """Ask memory for weights of a row, which may be beyond the end."""
        vectors.prefetch(self._builder, self._address(row, vector))

    def weights(self, row: Any, vector: Any, scaling: Sequence[Any]) -> Any:
        """LANES weights of a row."""
        return self._how.weights(self._builder, self._address(row, vector), scaling)

    def _address(self, row: Any, vector: Any) -> Any:
        builder = self._builder
        behind = builder.mul(vector, number(LANES * self._how.bits // 8))
        return at(builder, self._packed, builder.add(builder.mul(row, self._row_bytes), behind))
