"""Each tensor in chunks of rows from the source into its shard, in one read and one write.

The main thread reads; other threads hash, quantize and write (`voxbuild.tensors.threads`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxbuild.files import written_whole
from voxbuild.folders import Journal
from voxbuild.plan.planner import Plan, TensorPlan
from voxbuild.tensors.adapter import NO_UPDATES, Updates
from voxbuild.tensors.checkpoint import OnePass
from voxbuild.tensors.methods import Lookup, choose
from voxbuild.tensors.source_files import Passes, SourceFiles
from voxbuild.tensors.threads import Buffer, in_order
from voxbuild.tensors.writer import CheckpointWriter
from voxrun.parallel import cores

from .pieces import Piece, Stored, as_stored, pieces_of
from .ready import Ready

Progress = Callable[[int], None]
Found = Mapping[str, Lookup]
"""Kind of moments -> those of each module, from a calibration."""
NO_MOMENTS: Found = MappingProxyType({})
NOTHING_READY: Mapping[str, Ready] = MappingProxyType({})


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
    """Write the shards that are not finished yet; return file name -> sha256 of all.

    `progress` gets source bytes as they are done; `found` has the moments that a search needs, `updates` an
    adapter's, by module, `ready` tensors that other artifacts hold, by name. `journal.facts` then says what
    `Rounding` does.
    Raises ConvertError for weights that do not fit the recipe's dtype or mode, CheckpointError if the source
    is truncated or changes, OSError if the disk is full; shards that are finished by then are kept.
    """
    hashes = {}
    with ThreadPoolExecutor(cores(), thread_name_prefix="quantize") as pool:
        for name, tensors in plan.shards.items():
            if (digest := journal.whole(name)) is None:
                rounding = Rounding()
                pieces = _pieces(tensors, source, found, updates, ready, progress)
                digest = _write_shard(journal.folder / name, tensors, pieces, pool, rounding)
                source.check_unchanged()
                journal.add(name, digest, rounding.facts)
            else:
                progress(sum(source.tensors[tensor.source].nbytes for tensor in tensors))
            hashes[name] = digest
    return hashes


class Rounding:
    """What is to be said of how matrices were rounded whose method needs moments of the kind `matrix`."""

    def __init__(self) -> None:
        self._without: dict[str, str] = {}
        self._plain: dict[str, int] = {}

    def add(self, stored: Stored) -> None:
        """Count a piece's rows."""
        piece, module = stored.piece, stored.piece.tensor.module
        if piece.ready:
            self._take_over(piece.ready, module)
            return
        if piece.choice and piece.choice.why:
            self._without[module] = piece.choice.why
        if stored.plain_rows:
            self._plain[module] = self._plain.get(module, 0) + stored.plain_rows
        if piece.is_last and self._plain.get(module) == piece.tensor.shape[0]:
            self._without[module] = "no row is better than by plain rounding"

    def _take_over(self, ready: Ready, module: str) -> None:
        if ready.why:
            self._without[module] = ready.why
        if ready.plain_rows:
            self._plain[module] = ready.plain_rows

    @property
    def facts(self) -> dict[str, Any]:
        """without_moments: module -> why; plain_rows: module -> rows that were rounded plainly."""
        facts: dict[str, dict[str, Any]] = {"without_moments": self._without, "plain_rows": self._plain}
        return {name: dict(sorted(fact.items())) for name, fact in facts.items() if fact}


def _write_shard(
    path: Path,
    tensors: list[TensorPlan],
    pieces: Iterable[Piece],
    pool: ThreadPoolExecutor,
    rounding: Rounding,
) -> str:
    """Write a shard atomically; return its sha256."""
    outputs = [output for tensor in tensors for output in tensor.outputs]
    with written_whole(path) as partial, closing(CheckpointWriter(partial, outputs)) as writer:
        for data in _in_file_order(in_order(pool, as_stored, pieces, ahead=4 * cores()), rounding):
            writer.write(data)
        return writer.finish()


def _pieces(
    tensors: list[TensorPlan],
    source: OnePass | Passes,
    found: Found,
    updates: Updates,
    ready: Mapping[str, Ready],
    progress: Progress,
) -> Iterator[Piece]:
    for tensor in tensors:
        how = tensor.quantization
        there = ready.get(tensor.name)
        choice = choose(tensor.module, tensor.shape[1], how, found) if how and not there else None
        update = updates[tensor.module] if tensor.merged else None
        for piece in pieces_of(tensor, source, choice, update, there):
            yield piece
            progress(len(piece.data))


def _in_file_order(converted: Iterable[Stored], rounding: Rounding) -> Iterator[Buffer]:
    """Packed weights at once; scales and biases, which are much smaller, after a tensor's last row."""
    behind: list[list[Buffer]] = []
    for stored in converted:
        rounding.add(stored)
        first, *others = stored.parts
        yield first
        behind.append(others)
        if stored.piece.is_last:
            for leaf in zip(*behind, strict=True):
                yield from leaf
            behind.clear()
