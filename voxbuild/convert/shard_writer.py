"""The shards of one plan, written one after the other; what an earlier run left is kept.

A shard is written into an unfinished file. From time to time the journal records how much of it is on the
disk, up to the end of a tensor, and the hash of that: the next run goes on behind it.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from types import MappingProxyType

from voxbuild.errors import ConvertError
from voxbuild.folders import Begun, Journal, Mark
from voxbuild.plan.planner import Plan, TensorPlan
from voxbuild.tensors.adapter import NO_UPDATES, Update, Updates
from voxbuild.tensors.checkpoint import OnePass
from voxbuild.tensors.methods import Choice, Lookup, choose
from voxbuild.tensors.source_files import Passes
from voxbuild.tensors.writer import CheckpointWriter, Durable, Prefix, read_prefix

from .held import Held
from .pieces import Piece, Stored
from .ready import Ready
from .rounding import Rounding

Found = Mapping[str, Lookup]
"""Kind of moments -> those of each module, from a calibration."""
NO_MOMENTS: Found = MappingProxyType({})
NOTHING_READY: Mapping[str, Ready] = MappingProxyType({})


@dataclass(frozen=True)
class Way:
    """What turns the rows of a source's tensor into one plan's."""

    tensor: TensorPlan
    choice: Choice | None
    update: Update | None
    ready: Ready | None


class ShardWriter:
    """Writes what a plan's folder lacks, in the order of the plan; then `hashes` has all its shards.

    An error of this plan, or in writing it, ends it alone: it is kept in `error`.
    """

    def __init__(
        self,
        plan: Plan,
        journal: Journal,
        found: Found = NO_MOMENTS,
        updates: Updates = NO_UPDATES,
        ready: Mapping[str, Ready] = NOTHING_READY,
    ) -> None:
        """`found` has the moments that a search needs, `updates` an adapter's, by module, `ready` tensors
        that other artifacts hold, by name. Reads what is finished, to compare its hash.
        """
        self.plan, self.journal = plan, journal
        self.error: Exception | None = None
        self._found, self._updates, self._ready = found, updates, ready
        self._shards = plan.shards
        self._finished = {name: journal.whole(name) for name in self._shards}
        self._left = deque(name for name, digest in self._finished.items() if digest is None)
        self._wanted = {tensor.name for name in self._left for tensor in self._shards[name]}
        self._writer: CheckpointWriter | None = None
        self._rounding, self._tensors = Rounding(), 0
        self._behind = Held(journal.folder)
        self.mark = self._mark_before()
        """Where an earlier run had read the source when it had written all before `position`."""
        self._continue()

    @property
    def hashes(self) -> dict[str, str]:
        """File name -> sha256 of all finished shards."""
        return {name: digest for name, digest in self._finished.items() if digest}

    @property
    def position(self) -> int:
        """How many of the plan's first tensors an earlier run has written."""
        tensors = self.plan.tensors
        return next((i for i, tensor in enumerate(tensors) if tensor.name in self._wanted), len(tensors))

    def needs(self, tensor: TensorPlan) -> bool:
        """Whether a tensor must be read for this plan."""
        return self.error is None and tensor.name in self._wanted

    def ends_shard(self, tensor: TensorPlan) -> bool:
        """Whether a tensor is the last of its shard."""
        return any(tensor.name == tensors[-1].name for tensors in self._shards.values())

    def way(self, tensor: TensorPlan) -> Way | None:
        """How a tensor is converted; None after an error."""
        how, ready = tensor.quantization, self._ready.get(tensor.name)
        update = self._updates[tensor.module] if tensor.merged else None
        try:
            choice = choose(tensor.module, tensor.shape[1], how, self._found) if how and not ready else None
        except ConvertError as error:
            self.fail(error)
            return None
        return Way(tensor, choice, update, ready)

    def take(self, stored: Stored, source: OnePass | Passes) -> None:
        """Write the plan's next rows. Raises CheckpointError if the source has changed."""
        try:
            writer = self._writer = self._writer or self._opened()
            self._rounding.add(stored)
            first, *others = stored.parts
            writer.write(first)
            self._behind.add(others)
            if stored.piece.is_last:
                self._end_tensor(writer, stored.piece, source)
        except OSError as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Give up this plan. What is written is kept, unless its weights are wrong: it would fail again."""
        self.error = error
        self.close()
        if isinstance(error, ConvertError):
            self.journal.forget()

    def close(self) -> None:
        """Close the unfinished shard; it is deleted if nothing of it is on record."""
        self._behind.drop()
        if self._writer:
            self._writer.close()
            self._writer = None
            if self.journal.begun is None:
                self.journal.unfinished(self._left[0]).unlink(missing_ok=True)

    def _mark_before(self) -> Mark:
        """Where the source had been read when the last shard before the first that is left was finished."""
        finished = list(takewhile(self._finished.get, self._shards))
        return self.journal.mark_of(finished[-1]) if finished else {}

    def _continue(self) -> None:
        """Go on behind the part of the first shard left that is on record, if it is as it was written."""
        begun, self.journal.begun = self.journal.begun, None
        if begun is None or not self._left or begun.shard != self._left[0]:
            return
        path = self.journal.unfinished(begun.shard)
        if prefix := read_prefix(path, begun.length, begun.sha256):
            self._writer = self._opened(prefix)
            self._rounding, self._tensors = Rounding(begun.facts), begun.tensors
            self._wanted -= {tensor.name for tensor in self._shards[begun.shard][: begun.tensors]}
            self.mark, self.journal.begun = begun.mark, begun

    def _opened(self, prefix: Prefix | None = None) -> CheckpointWriter:
        name = self._left[0]
        outputs = [output for tensor in self._shards[name] for output in tensor.outputs]
        return CheckpointWriter(self.journal.unfinished(name), outputs, prefix)

    def _end_tensor(self, writer: CheckpointWriter, piece: Piece, source: OnePass | Passes) -> None:
        """Write scales and biases, which are much smaller than packed weights, behind these."""
        for block in self._behind.taken():
            writer.write(block)
        self._tensors += 1
        if self._tensors == len(self._shards[self._left[0]]):
            self._end_shard(writer, piece.mark, source)
        elif piece.mark is not None:
            source.check_unchanged()
            writer.when_durable(self._recorder(piece.mark))

    def _end_shard(self, writer: CheckpointWriter, mark: Mark | None, source: OnePass | Passes) -> None:
        name, digest = self._left[0], writer.finish()
        source.check_unchanged()
        self.journal.unfinished(name).replace(self.journal.folder / name)
        self.journal.add(name, digest, self._rounding.facts, mark)
        self._finished[name] = digest
        self._left.popleft()
        self._writer, self._rounding, self._tensors = None, Rounding(), 0

    def _recorder(self, mark: Mark) -> Durable:
        """What records, when it is on the disk, how far the shard is written now."""
        name, tensors, facts = self._left[0], self._tensors, self._rounding.facts
        return lambda length, sha256: self.journal.begin(Begun(name, tensors, length, sha256, facts, mark))
