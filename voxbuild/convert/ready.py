"""Matrices that other artifacts of the same source hold, rounded in the same way: copied, not made again.

An artifact's lock says what a matrix was made of: source, tools, calibration, settings. Where all are the
same, so are the bytes; lock and file are compared with the manifest before they are used.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxbuild.artifact.lock import LOCK, Lock, read_lock
from voxbuild.artifact.manifest import Manifest
from voxbuild.errors import CheckpointError, VoxbuildError
from voxbuild.plan.planner import Plan, TensorPlan
from voxbuild.plan.work import uses_moments
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.quantize import Rows, to_rows
from voxrun.checkpoint.tensors import Tensor
from voxrun.errors import VoxrunError

UNUSABLE = (VoxbuildError, VoxrunError, OSError, LookupError, TypeError, AttributeError)
"""What reading an artifact raises that is damaged, of another version or a view."""


@dataclass(frozen=True)
class Ready:
    """A matrix in another artifact's file."""

    path: Path
    descriptor: int
    parts: tuple[Tensor, ...]
    """Where its outputs are in the file."""
    why: str | None
    """Why its moments were not used there."""
    plain_rows: int
    """How many of its rows were rounded plainly there."""

    def rows(self, first: int, count: int) -> list[Rows]:
        """Rows of each output. May be called in any thread. Raises CheckpointError."""
        return [self._rows(part, first, count) for part in self.parts]

    def _rows(self, part: Tensor, first: int, count: int) -> Rows:
        data = os.pread(self.descriptor, count * part.row_bytes, part.start + first * part.row_bytes)
        if len(data) != count * part.row_bytes:
            raise CheckpointError(f"{self.path}: truncated; build it again")
        return to_rows(data, part.dtype, (count, *part.shape[1:]))


@contextmanager
def ready_in(folders: Iterable[Path], plan: Plan, lock: Lock) -> Iterator[Mapping[str, Ready]]:
    """Matrices of a plan that artifacts in `folders` hold, by name; `lock` is the plan's."""
    found: dict[str, Ready] = {}
    with ExitStack() as opened:
        for folder in folders:
            if wanted := [t for t in plan.tensors if uses_moments(t) and t.name not in found]:
                try:
                    found |= _in_artifact(folder, wanted, lock, opened)
                except UNUSABLE:
                    continue  # its matrices are made again
        yield found


def _in_artifact(folder: Path, wanted: list[TensorPlan], lock: Lock, opened: ExitStack) -> dict[str, Ready]:
    theirs = read_lock(folder / LOCK)
    if not _made_alike(theirs, lock):
        return {}
    same = [t for t in wanted if _settings(theirs, t.name) == _settings(lock, t.name)]
    manifest, files, found = Manifest.load(folder), {}, {}
    for tensor in same:
        name = theirs["tensors"][tensor.name]["shard"]
        if name not in files:
            if manifest.damaged(folder, [LOCK, name]):
                return {}
            files[name] = opened.enter_context(Checkpoint(folder / name))
        found[tensor.name] = _ready(tensor, files[name], theirs.get("rounding", {}))
    return found


def _ready(tensor: TensorPlan, file: Checkpoint, rounding: Mapping[str, Any]) -> Ready:
    parts = tuple(file.tensors[output.name] for output in tensor.outputs)
    if [(p.dtype, p.shape) for p in parts] != [(o.dtype, o.shape) for o in tensor.outputs]:
        raise CheckpointError(f"{file.path}: {tensor.name} has another shape")
    why = rounding.get("without_moments", {}).get(tensor.module)
    plain = rounding.get("plain_rows", {}).get(tensor.module, 0)
    return Ready(file.path, file.descriptor, parts, why, plain)


def _made_alike(theirs: Lock, ours: Lock) -> bool:
    """Whether equal settings gave equal bytes: not where each matrix depends on those before it."""
    sequential = "reproducible" in theirs.get("rounding", {})
    made_of = [(lock["source"], lock["tools"], lock["recipe"].get("calibration")) for lock in (theirs, ours)]
    return not sequential and made_of[0] == made_of[1]


def _settings(lock: Lock, tensor: str) -> Any:
    entry = lock["tensors"].get(tensor, {})
    return entry.get("dtype"), entry.get("quantization")
