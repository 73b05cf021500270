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
from voxbuild.tensors.check import Place, check_cast, check_quantized
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.moments import NO_MOMENTS, Moments
from voxbuild.tensors.quantize import Rows, cast, to_rows, transposed
from voxbuild.tensors.threads import Buffer, in_order
from voxbuild.tensors.writer import CheckpointWriter
from voxrun.checkpoint.tensors import Tensor
from voxrun.parallel import cores

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Piece:
    """Rows of a tensor, as the source stores them."""

    tensor: TensorPlan
    stored: Tensor
    first: int
    """Number of the first row in the tensor."""
    rows: int
    data: memoryview
    moments: Rows | None
    is_last: bool


def is_in_order(plan: Plan, checkpoint: Checkpoint) -> bool:
    """Whether the plan's tensors are in the order of the file, as they are if safetensors wrote it."""
    starts = [checkpoint.tensors[tensor.source].start for tensor in plan.tensors]
    return starts == sorted(starts)


def convert(
    plan: Plan, source: OnePass, journal: Journal, progress: Progress, moments: Moments = NO_MOMENTS
) -> dict[str, str]:
    """Write the shards that are not finished yet; return file name -> sha256 of all.

    `progress` gets source bytes as they are done; `moments` are those of the modules whose search needs them.
    Raises ConvertError for weights that do not fit the recipe's dtype or mode, CheckpointError if the source
    is truncated or changes, OSError if the disk is full; shards that are finished by then are kept.
    """
    hashes = {}
    with ThreadPoolExecutor(cores(), thread_name_prefix="quantize") as pool:
        for name, tensors in plan.shards.items():
            if (digest := journal.whole(name)) is None:
                pieces = _pieces(tensors, source, moments, progress)
                digest = _write_shard(journal.folder / name, tensors, pieces, pool)
                source.checkpoint.check_unchanged()
                journal.add(name, digest)
            else:
                progress(sum(source.checkpoint.tensors[tensor.source].nbytes for tensor in tensors))
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
    tensors: list[TensorPlan], source: OnePass, moments: Moments, progress: Progress
) -> Iterator[Piece]:
    for tensor in tensors:
        how = tensor.quantization
        weights = moments[tensor.module] if how and METHODS[how.search].needs_moments else None
        stored = source.checkpoint.tensors[tensor.source]
        rest = stored.shape[0]
        for rows, data in source.rows(stored):
            first = stored.shape[0] - rest
            rest -= rows
            yield Piece(tensor, stored, first, rows, data, weights, is_last=rest == 0)
            progress(len(data))


def _quantized(piece: Piece) -> tuple[Piece, list[Buffer]]:
    """Transpose, cast and quantize rows: the bytes of each output of their tensor."""
    tensor, stored = piece.tensor, piece.stored
    read = to_rows(piece.data, stored.dtype, (piece.rows, *stored.shape[1:]))
    read = transposed(read) if tensor.transpose else read
    rows, place = cast(read, stored.dtype, tensor.dtype), Place(tensor.source, piece.first)
    check_cast(read, stored.dtype, rows, tensor.dtype, place)
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
