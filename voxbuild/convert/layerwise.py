"""Conversion in the order of the network, with second moments that are too large to keep.

Each step of a walk through the network has the moments of some modules. Their matrices are rounded, and
written at their places in the shards, which have their final size from the start; then the moments are given
up. The journal names what is on the disk, so a conversion that was stopped loses one step.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from voxbuild.errors import ConvertError
from voxbuild.folders import Journal
from voxbuild.plan.planner import Plan, TensorPlan
from voxbuild.plan.work import rounding_seconds, uses_moments
from voxbuild.tensors.adapter import NO_UPDATES, Updates
from voxbuild.tensors.feedback import damping_of
from voxbuild.tensors.methods import Choice, choose
from voxbuild.tensors.placed import PlacedWriter
from voxbuild.tensors.second_moments import Matrix, input_of
from voxbuild.tensors.source_files import Passes
from voxbuild.tensors.targets import dequantized, share_of, towards
from voxbuild.tensors.threads import in_order
from voxrun.checkpoint.tensors import Tensor
from voxrun.parallel import cores

from .pieces import Stored, as_stored, pieces_of
from .rounding import Rounding

Target = Callable[[str, Matrix, Matrix], Matrix]
"""(module, H, C) -> what the rows of its matrix are multiplied by before they are rounded."""
REST = "without moments"
"""The step of all tensors that need none."""


def target_of(audio: float) -> Target:
    """The target after so many seconds of audio."""
    share = share_of(audio)
    return lambda module, moments, cross: towards(moments, cross, damping_of(module), share)


class Step(Protocol):
    """Some modules of the network, in its order; see `voxbuild.calibrate.walk`."""

    name: str
    modules: tuple[str, ...]

    def moments(self, module: str) -> Matrix:
        """H of the module's input, float64 [n, n]."""

    def cross(self, module: str) -> Matrix | None:
        """C of its input; None: it does not depend on quantized modules."""

    def finish(self, quantized: Mapping[str, Matrix]) -> None:
        """Go on with these weights, float32 [rows, columns]; the moments are given up."""


def convert_by_layers(
    plan: Plan,
    source: Passes,
    journal: Journal,
    walk: Callable[[], Iterable[Step]],
    progress: Callable[[float], object],
    updates: Updates = NO_UPDATES,
    target: Target | None = None,
) -> dict[str, str]:
    """Write what is not on the disk yet; return file name -> sha256 of all shards.

    `walk` begins the walk, or continues it; `progress` gets `rounding_seconds` as matrices are rounded. With
    a `target` the walk is sequential: it goes on with the quantized weights of each step.
    Raises ConvertError, CheckpointError, OSError; finished steps are kept.
    """
    with ExitStack() as opened:
        pool = opened.enter_context(ThreadPoolExecutor(cores(), thread_name_prefix="quantize"))
        files = [
            opened.enter_context(PlacedWriter(journal.folder / name, _outputs(tensors)))
            for name, tensors in plan.shards.items()
        ]
        writing = _Writing(plan, source, journal, files, pool, progress, updates, target)
        writing.begin()
        if writing.left:
            for step in walk():
                writing.step(step)
        if left := writing.left:
            raise ConvertError(f"{left[0]}: not reached by the walk through the network; build it again")
        return {file.path.name: file.finish() for file in files}


@dataclass
class _Writing:
    """The shards, and which of their tensors are on the disk."""

    plan: Plan
    source: Passes
    journal: Journal
    files: list[PlacedWriter]
    """By the number of the shard."""
    pool: ThreadPoolExecutor
    progress: Callable[[float], object]
    updates: Updates
    target: Target | None
    chosen: tuple[object, Choice] | None = None
    """The last choice, and what it depends on."""
    stored: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """Take over what is on the disk, or nothing if it is damaged; write what needs no moments."""
        if not self.journal.stored or not self._is_intact():
            self.journal.forget()
        self.stored = set(self.journal.stored)
        rest = [tensor for tensor in self.plan.tensors if not uses_moments(tensor)]
        if not all(map(self._is_stored, rest)):
            self._write(REST, ((tensor, self._plain_choice(tensor)) for tensor in rest))
        done = [t for t in self.plan.tensors if uses_moments(t) and self._is_stored(t)]
        self.progress(sum(map(rounding_seconds, done)))

    @property
    def left(self) -> list[str]:
        """The tensors that are not on the disk."""
        return [tensor.name for tensor in self.plan.tensors if not self._is_stored(tensor)]

    def step(self, step: Step) -> None:
        """Round and write a step's matrices, unless they are on the disk and the walk does not need them."""
        tensors = [t for t in self.plan.tensors if t.module in step.modules and uses_moments(t)]
        quantized: dict[str, Matrix] = {}
        if tensors and (self.target or not all(map(self._is_stored, tensors))):
            facts = {"moments": {input_of(t.module): _digest(step, t.module) for t in tensors}}
            name = f"{step.name}: {', '.join(step.modules)}"
            quantized = self._write(name, ((t, self._choice(t, step)) for t in tensors), facts)
        self.chosen = None
        step.finish(quantized)

    def _plain_choice(self, tensor: TensorPlan) -> Choice | None:
        how = tensor.quantization
        return choose(tensor.module, tensor.shape[1], how, {}) if how else None

    def _choice(self, tensor: TensorPlan, step: Step) -> Choice:
        """How a matrix is rounded; those with the same input and settings share it."""
        module, how = tensor.module, tensor.quantization
        assert how
        if self.chosen and self.chosen[0] == (input_of(module), how):
            return self.chosen[1]
        self.chosen = None  # the next one needs its memory
        choice = choose(module, tensor.shape[1], how, {"matrix": lambda name: _as_kept(step, name)})
        if self.target and not choice.why and (cross := step.cross(module)) is not None:
            choice = self._towards(choice, module, step.moments(module), cross)
        self.chosen = (input_of(module), how), choice
        return choice

    def _towards(self, choice: Choice, module: str, moments: Matrix, cross: Matrix) -> Choice:
        assert self.target
        try:
            return replace(choice, map=self.target(module, moments, cross))
        except ValueError as error:
            raise ConvertError(f"{module}: no target behind quantized inputs: {error}") from error

    def _write(
        self,
        step: str,
        chosen: Iterable[tuple[TensorPlan, Choice | None]],
        facts: Mapping[str, dict[str, Any]] | None = None,
    ) -> dict[str, Matrix]:
        """Write tensors, and record them as a step; return the weights that the walk goes on with."""
        rounding, touched = Rounding(), set[int]()
        hashes, quantized = dict[str, str](), dict[str, Matrix]()
        for tensor, choice in chosen:
            touched.add(tensor.shard)
            goes_on = self.target and uses_moments(tensor)
            weights = np.empty(tensor.shape, np.float32) if goes_on else None
            hashes |= self._write_tensor(tensor, choice, rounding, weights)
            if weights is not None:
                quantized[tensor.module] = weights
        self.source.check_unchanged()
        for shard in touched:
            self.files[shard].sync()
        self.journal.add_step(step, hashes, rounding.facts | dict(facts or {}))
        self.stored |= hashes.keys()
        return quantized

    def _write_tensor(
        self, tensor: TensorPlan, choice: Choice | None, rounding: Rounding, weights: Matrix | None
    ) -> dict[str, str]:
        """Write a tensor, and fill `weights` with what it stands for; return each output's sha256."""
        file, update = self.files[tensor.shard], self.updates[tensor.module] if tensor.merged else None
        digests, ends = [hashlib.sha256() for _ in tensor.outputs], [0] * len(tensor.outputs)
        pieces = pieces_of(tensor, self.source, choice, update)
        for stored in in_order(self.pool, as_stored, pieces, ahead=4 * cores()):
            for i, part in enumerate(stored.parts):
                digests[i].update(part)
                ends[i] = file.write(tensor.outputs[i].name, ends[i], part)
            rounding.add(stored)
            if weights is not None:
                _fill(weights, stored)
            if uses_moments(tensor):
                self.progress(rounding_seconds(tensor) * stored.piece.rows / tensor.shape[0])
        return {o.name: d.hexdigest() for o, d in zip(tensor.outputs, digests, strict=True)}

    def _is_stored(self, tensor: TensorPlan) -> bool:
        return all(output.name in self.stored for output in tensor.outputs)

    def _is_intact(self) -> bool:
        """Whether the disk holds what the journal says."""
        places = {o.name: (o, self.files[t.shard]) for t in self.plan.tensors for o in t.outputs}
        for name, sha256 in self.journal.stored.items():
            tensor, file = places[name]
            found = hashlib.sha256()
            for block in file.read(tensor):
                found.update(block)
            if found.hexdigest() != sha256:
                return False
        return True


def _outputs(tensors: Iterable[TensorPlan]) -> list[Tensor]:
    return [output for tensor in tensors for output in tensor.outputs]


def _as_kept(step: Step, module: str) -> Matrix:
    """The moments of a module's input with the values that the file of kept ones would have: float32."""
    with np.errstate(over="ignore"):
        return step.moments(module).astype(np.float32)


def _digest(step: Step, module: str) -> str:
    return hashlib.sha256(_as_kept(step, module).data.cast("B")).hexdigest()


def _fill(weights: Matrix, stored: Stored) -> None:
    piece = stored.piece
    assert piece.choice
    weights[piece.first : piece.first + piece.rows] = dequantized(
        stored.arrays, piece.tensor.dtype, piece.choice.how
    )
