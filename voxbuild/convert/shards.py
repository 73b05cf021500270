"""Each tensor in chunks of rows from the source into the shards of all plans, in one read and one write.

The main thread reads; other threads hash, quantize and write (`voxbuild.tensors.threads`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace

from voxbuild.errors import VoxbuildError
from voxbuild.folders import Journal
from voxbuild.plan.planner import Plan, TensorPlan
from voxbuild.tensors.adapter import NO_UPDATES, Updates
from voxbuild.tensors.checkpoint import OnePass
from voxbuild.tensors.source_files import Passes, SourceFiles
from voxbuild.tensors.threads import in_order
from voxrun.parallel import cores

from .pieces import Once, Piece, Stored, as_stored, pieces_of
from .ready import Ready
from .shard_writer import NO_MOMENTS, NOTHING_READY, Found, ShardWriter

Progress = Callable[[int], None]
AHEAD = 3
"""Chunks of rows for each core that are converted, or wait to be written."""
RECORD_BYTES = 256 * 2**20
"""Bytes of source after which is recorded, at the end of a tensor, how far the shards are written: a killed
run loses so many, and the tensor that it is in."""
Task = list[tuple[ShardWriter, Piece]]
"""The same rows, for each plan that needs them."""
Result = list[tuple[ShardWriter, Stored | Exception | None]]


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
    found: Found = NO_MOMENTS,
    updates: Updates = NO_UPDATES,
    ready: Mapping[str, Ready] = NOTHING_READY,
) -> dict[str, str]:
    """Write what one plan's folder lacks, see `ShardWriter` and `convert_all`; return file name -> sha256.

    Raises ConvertError for weights that do not fit the recipe's dtype or mode, CheckpointError if the source
    is truncated or changes, OSError if the disk is full; what is on record by then is kept.
    """
    writer = ShardWriter(plan, journal, found, updates, ready)
    convert_all([writer], source, progress)
    if writer.error:
        raise writer.error
    return writer.hashes


def convert_all(writers: Sequence[ShardWriter], source: OnePass | Passes, progress: Progress) -> None:
    """Write what the folders of plans lack whose tensors are in the same order; each row is read once.

    `progress` gets source bytes as they are done. A plan that fails is left out from there on: see its
    `error`. Raises CheckpointError if the source is truncated or changes; what is on record by then is kept.
    """
    with ThreadPoolExecutor(cores(), thread_name_prefix="quantize") as pool, ExitStack() as opened:
        for writer in writers:
            opened.callback(writer.close)
        for results in in_order(pool, _all_stored, _tasks(writers, source, progress), ahead=AHEAD * cores()):
            for writer, result in results:
                if writer.error is None and isinstance(result, Stored):
                    writer.take(result, source)
                elif writer.error is None and isinstance(result, Exception):
                    writer.fail(result)


def _all_stored(task: Task) -> Result:
    """Rows as each plan stores them."""
    once = Once()
    return [(writer, _stored(writer, piece, once)) for writer, piece in task]


def _stored(writer: ShardWriter, piece: Piece, once: Once) -> Stored | Exception | None:
    """A piece as its plan stores it, or why it cannot."""
    if writer.error:
        return None
    try:
        return as_stored(piece, once)
    except (VoxbuildError, OSError) as error:
        return error


def _tasks(writers: Sequence[ShardWriter], source: OnePass | Passes, progress: Progress) -> Iterator[Task]:
    """The pieces of all plans together, chunk by chunk of the source."""
    since = 0
    for tensors in zip(*(writer.plan.tensors for writer in writers), strict=True):
        wanted = [(w, t) for w, t in zip(writers, tensors, strict=True) if w.needs(t)]
        nbytes = source.tensors[tensors[0].source].nbytes
        if not wanted:
            progress(nbytes)
            continue
        since += nbytes
        is_due = since >= RECORD_BYTES or any(writer.ends_shard(tensor) for writer, tensor in wanted)
        yield from _of_tensor(wanted, source, progress, is_due)
        since = 0 if is_due else since


def _of_tensor(
    wanted: Sequence[tuple[ShardWriter, TensorPlan]],
    source: OnePass | Passes,
    progress: Progress,
    is_due: bool,
) -> Iterator[Task]:
    """A tensor's pieces for the plans that need it; the last ones have the source's mark if it `is_due`."""
    ways = [(writer, way) for writer, tensor in wanted if (way := writer.way(tensor))]
    for piece in pieces_of(wanted[0][1], source, None, None):
        mark = source.mark() if is_due and piece.is_last else None
        yield [(writer, replace(piece, mark=mark, **vars(way))) for writer, way in ways]
        progress(len(piece.data))
