"""Rows of a tensor from the source's layout and dtype to the bytes that an artifact stores."""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from voxbuild.folders import Mark
from voxbuild.plan.planner import TensorPlan
from voxbuild.tensors.adapter import Update
from voxbuild.tensors.check import Place, check_cast, check_quantized
from voxbuild.tensors.checkpoint import OnePass
from voxbuild.tensors.low_rank import merge
from voxbuild.tensors.methods import METHODS, Choice
from voxbuild.tensors.modes import PLAIN
from voxbuild.tensors.quantize import Ranges, Rows, cast, quantize_rows, to_rows, transposed
from voxbuild.tensors.source_files import Passes
from voxbuild.tensors.threads import Buffer
from voxrun.checkpoint.dialects import pairs_from_halves
from voxrun.checkpoint.tensors import Tensor
from voxrun.parallel import one_blas_thread

from .ready import Ready

Known = TypeVar("Known")


@dataclass(frozen=True)
class Piece:
    """Rows of a tensor, as the source stores them."""

    tensor: TensorPlan
    stored: Tensor
    first: int
    """The number of the first row in the tensor."""
    rows: int
    data: memoryview
    choice: Choice | None
    """How a matrix is quantized; None: it is not."""
    update: Update | None
    is_last: bool
    ready: Ready | None = None
    """Where its rows are stored already."""
    mark: Mark | None = None
    """How far the source was read; given where that is to be recorded, at the end of a tensor."""


@dataclass(frozen=True)
class Stored:
    """A piece as the artifact stores it."""

    piece: Piece
    arrays: list[Rows]
    """The rows of each output of its tensor."""
    plain_rows: int = 0
    """Rows that a method with feedback left as plain rounding makes them, as nothing was better."""

    @property
    def parts(self) -> list[Buffer]:
        """The bytes of each output."""
        return [array.data.cast("B") for array in self.arrays]


def pieces_of(
    tensor: TensorPlan,
    source: OnePass | Passes,
    choice: Choice | None,
    update: Update | None,
    ready: Ready | None = None,
) -> Iterator[Piece]:
    """A tensor's rows in the order of the source. Raises CheckpointError."""
    stored, first = source.tensors[tensor.source], 0
    for rows, data in source.rows(stored, tensor.head_rows or 1):
        last = first + rows == stored.shape[0]
        yield Piece(tensor, stored, first, rows, data, choice, update, last, ready)
        first += rows


def in_our_layout(piece: Piece) -> tuple[Rows, str]:
    """The rows in our layout, with the adapter's update; and their dtype."""
    tensor, stored = piece.tensor, piece.stored
    rows = to_rows(piece.data, stored.dtype, (piece.rows, *stored.shape[1:]))
    if tensor.transpose:
        rows = transposed(rows)
    if tensor.head_rows:
        rows = pairs_from_halves(rows, tensor.head_rows)
    if piece.update is None:
        return rows, stored.dtype
    return merge(cast(rows, stored.dtype, "F32"), piece.first, piece.update), "F32"


class Once:
    """What the conversions of the same rows by several plans have in common: each is computed once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}

    def __call__(self, key: Hashable, compute: Callable[[], Known]) -> Known:
        """What `compute` returned the first time for this key."""
        if key not in self._known:
            self._known[key] = compute()
        known: Known = self._known[key]
        return known


def as_stored(piece: Piece, once: Once | None = None) -> Stored:
    """Bring rows into our layout, cast and quantize them. Raises ConvertError for weights that do not fit.

    `once`: see there, for pieces of the same rows.
    """
    if piece.ready:
        return Stored(piece, piece.ready.rows(piece.first, piece.rows))
    tensor, choice, once = piece.tensor, piece.choice, once or Once()
    layout = tensor.transpose, tensor.head_rows, id(piece.update)
    read, dtype = once(layout, lambda: in_our_layout(piece))
    rows = once((layout, tensor.dtype), lambda: cast(read, dtype, tensor.dtype))
    place = Place(tensor.source, piece.first)
    if choice is None:
        check_cast(read, dtype, rows, tensor.dtype, place)
        return Stored(piece, [rows])
    size = choice.how.group_size
    ranges = once((layout, tensor.dtype, size), lambda: Ranges.of(rows, tensor.dtype, size))
    if not ranges.are_finite(tensor.dtype):
        check_cast(read, dtype, rows, tensor.dtype, place)
    if choice.map is not None:
        rows = cast(_mapped(cast(rows, tensor.dtype, "F32"), choice.map), "F32", tensor.dtype)
        check_cast(read, dtype, rows, tensor.dtype, place)
        ranges = Ranges.of(rows, tensor.dtype, size)
    return _quantized(piece, choice, rows, ranges)


def _quantized(piece: Piece, choice: Choice, rows: Rows, ranges: Ranges) -> Stored:
    how, method, dtype = choice.how, METHODS[choice.how.search], piece.tensor.dtype
    if how.search == PLAIN:
        parts = quantize_rows(rows, dtype, how, ranges)
    else:
        parts = method.quantize(rows, dtype, how, choice.prepared)
    check_quantized(rows, dtype, how, parts, Place(piece.tensor.source, piece.first), ranges)
    is_compared = method.moments == "matrix"
    plain = _equal_rows(parts, quantize_rows(rows, dtype, how, ranges)) if is_compared else 0
    return Stored(piece, list(parts.values()), plain)


def _mapped(rows: Rows, matrix: Rows) -> Rows:
    with one_blas_thread(), np.errstate(all="ignore"):  # the pieces are computed side by side
        mapped: Rows = rows @ matrix
    return mapped


def _equal_rows(one: dict[str, Rows], other: dict[str, Rows]) -> int:
    """Rows whose parts are all the same."""
    same = [(one[leaf] == other[leaf]).all(axis=1) for leaf in one]
    return int(np.logical_and.reduce(same).sum())
