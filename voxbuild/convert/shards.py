"""Each tensor in chunks of rows from the source into its shard, in one read and one write.

The main thread reads; other threads hash, quantize and write (`voxbuild.tensors.threads`).
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from voxbuild.files import written_whole
from voxbuild.folders import Journal
from voxbuild.plan.planner import Plan, TensorPlan
from voxbuild.tensors.adapter import NO_UPDATES, Update, Updates
from voxbuild.tensors.check import Place, check_cast, check_quantized
from voxbuild.tensors.checkpoint import OnePass
from voxbuild.tensors.low_rank import merge
from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.moments import NO_MOMENTS, Moments
from voxbuild.tensors.quantize import Rows, cast, to_rows, transposed
from voxbuild.tensors.source_files import Passes, SourceFiles
from voxbuild.tensors.threads import Buffer, in_order
from voxbuild.tensors.writer import CheckpointWriter
from voxrun.checkpoint.dialects import pairs_from_halves
from voxrun.checkpoint.tensors import Tensor
from voxrun.parallel import cores

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Piece:
    """Rows of a tensor, as the source stores them."""

    tensor: TensorPlan
    stored: Tensor
    first: int
    """The number of the first row in the tensor."""
    rows: int
    data: memoryview
    moments: Rows | None
    update: Update | None
    is_last: bool


def out_of_order(plan: Plan, source: SourceFiles) -> list[str]:
    """The files whose tensors are not in the plan's order, as they are if safetensors wrote them."""
    starts: dict[str, list[int]] = {name: [] for name in source.files}
    for tensor in plan.tensors:
        starts[source.places[tensor.source]].append(source.tensors[tensor.source].start)
    return [name for name, order in starts.items() if order != sorted(order)]


def convert(
    plan: Plan,
    source: OnePass | Passes,
    journal: Journal,
    progress: Progress,
    moments: Moments = NO_MOMENTS,
    updates: Updates = NO_UPDATES,
) -> dict[str, str]:
    """Write the shards that are not finished yet; return file name -> sha256 of all.

    `progress` gets source bytes as they are done; `moments` are those of the modules whose search needs them,
    `updates` those of an adapter, by module.
    Raises ConvertError for weights that do not fit the recipe's dtype or mode, CheckpointError if the source
    is truncated or changes, OSError if the disk is full; shards that are finished by then are kept.
    """
    hashes = {}
    with ThreadPoolExecutor(cores(), thread_name_prefix="quantize") as pool:
        for name, tensors in plan.shards.items():
            if (digest := journal.whole(name)) is None:
                pieces = _pieces(tensors, source, moments, updates, progress)
                digest = _write_shard(journal.folder / name, tensors, pieces, pool)
                source.check_unchanged()
                journal.add(name, digest)
            else:
                progress(sum(source.tensors[tensor.source].nbytes for tensor in tensors))
            hashes[name] = digest
    return hashes


def _write_shard(
    path: Path, tensors: list[TensorPlan], pieces: Iterable[Piece], pool: ThreadPoolExecutor
) -> str:
    """Write a shard atomically; return its sha256."""
    outputs = [output for tensor in tensors for output in tensor.outputs]
    with written_whole(path) as partial, closing(CheckpointWriter(partial, outputs)) as writer:
        for data in _in_file_order(in_order(pool, _quantized, pieces, ahead=4 * cores())):
            writer.write(data)
        return writer.finish()


def _pieces(
    tensors: list[TensorPlan],
    source: OnePass | Passes,
    moments: Moments,
    updates: Updates,
    progress: Progress,
) -> Iterator[Piece]:
    for tensor in tensors:
        how = tensor.quantization
        weights = moments[tensor.module] if how and METHODS[how.search].needs_moments else None
        update = updates[tensor.module] if tensor.merged else None
        stored, first = source.tensors[tensor.source], 0
        for rows, data in source.rows(stored, tensor.head_rows or 1):
            last = first + rows == stored.shape[0]
            yield Piece(tensor, stored, first, rows, data, weights, update, last)
            first += rows
            progress(len(data))


def _in_our_layout(piece: Piece) -> tuple[Rows, str]:
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


def _quantized(piece: Piece) -> tuple[Piece, list[Buffer]]:
    """Bring rows into our layout, cast and quantize them: the bytes of each output of their tensor."""
    tensor, place = piece.tensor, Place(piece.tensor.source, piece.first)
    read, dtype = _in_our_layout(piece)
    rows = cast(read, dtype, tensor.dtype)
    check_cast(read, dtype, rows, tensor.dtype, place)
    if (how := tensor.quantization) is None:
        return piece, [rows.data.cast("B")]
    parts = METHODS[how.search].quantize(rows, tensor.dtype, how, piece.moments)
    check_quantized(rows, tensor.dtype, how, parts, place)
    return piece, [part.data.cast("B") for part in parts.values()]


def _in_file_order(converted: Iterable[tuple[Piece, list[Buffer]]]) -> Iterator[Buffer]:
    """Packed weights at once; scales and biases, which are much smaller, after a tensor's last row."""
    behind: list[list[Buffer]] = []
    for piece, (first, *others) in converted:
        yield first
        behind.append(others)
        if piece.is_last:
            for leaf in zip(*behind, strict=True):
                yield from leaf
            behind.clear()
