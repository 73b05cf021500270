"""Estimates of the memory, disk and time that a build needs, from its plan: rough, and on the safe side."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from voxbuild.errors import ConvertError
from voxbuild.tensors.ahead import WINDOW_BYTES
from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.second_moments import input_of
from voxrun.checkpoint.tensors import Tensor
from voxrun.parallel import cores

from .planner import Plan, TensorPlan
from .work import is_by_layers, rounding_seconds, uses_moments, walk_seconds

BASE = 208 * 2**20
"""Bytes of the process: Python, NumPy, the compiler of the kernels, and our modules."""
BUFFERS = 20 * 2**20
"""Bytes of a recipe's scales and biases that are held, and of what is written at a time."""
ROWS = 6 * 2**20
"""Bytes of the chunks of rows in flight, for each core. What a recipe makes of them has as many at most."""
SMALL_FILES = 64 * 2**20
"""Bytes on disk besides the weights: tokenizer, configuration, index, lock, validation and card."""
FIXED_SECONDS = 2.0
"""Of any build: starting, reading headers, writing small files."""
CAST_ONLY = 0.5e9
"""Bytes of source converted in a second on two cores without quantization, when most is written."""


MINUTE = 60.0
"""Seconds of calibration audio where it is not known how many there are."""
MATRICES = 5
"""Float64 matrices of the largest second moments that are in memory together while they are factored."""
STATE = 300_000
"""Bytes for each second of audio that a walk through the network keeps on the disk."""


@dataclass(frozen=True)
class Estimate:
    """The needs of a conversion, without download and validation."""

    memory: int
    """Peak bytes."""
    disk: int
    """Bytes in out/."""
    seconds: float


def in_words(needed: Estimate) -> str:
    """An estimate for people."""
    memory, disk = f"{needed.memory / 1e9:.1f} GB of memory", f"{needed.disk / 1e9:.1f} GB of disk"
    return f"{time_in_words(needed.seconds)}, {memory}, {disk}"


def time_in_words(seconds: float) -> str:
    """A rough time for people, in a unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def estimate(
    plan: Plan,
    header: Mapping[str, Tensor],
    views: int = 0,
    audio: float = MINUTE,
    streamed: bool = False,
) -> Estimate:
    """The needs of a conversion, with disk for `views` of it.

    `audio`: seconds that calibrate; `streamed`: the source is not on the disk.
    """
    # Scales and biases, which follow the packed weights, are in files of their own until a tensor's last row.
    held = max((sum(part.nbytes for part in t.outputs[1:]) for t in plan.tensors), default=0)
    matrices = [tensor for tensor in plan.tensors if uses_moments(tensor)]
    widest = max((tensor.shape[1] for tensor in matrices), default=0)
    needed = Estimate(
        memory=_shared() + BUFFERS + cores() * ROWS + 8 * MATRICES * widest**2 + streamed * WINDOW_BYTES,
        disk=(1 + views) * (plan.nbytes + SMALL_FILES) + held,
        seconds=FIXED_SECONDS + sum(_seconds(t, header[t.source].nbytes) for t in plan.tensors),
    )
    return _by_layers(plan, needed, audio) if is_by_layers(plan) else needed


def together(needed: Sequence[Estimate]) -> Estimate:
    """The needs of several conversions in one read: the process and the rows that it reads once."""
    shared = (len(needed) - 1) * _shared()
    memory, disk = (sum(getattr(each, what) for each in needed) for what in ("memory", "disk"))
    return Estimate(memory - shared, disk, sum(each.seconds for each in needed))


def _shared() -> int:
    """Bytes of memory that a conversion does not need again for another recipe in the same read."""
    return BASE + cores() * ROWS


def _by_layers(plan: Plan, needed: Estimate, audio: float) -> Estimate:
    """What a walk through the network needs in addition: a layer and its moments, all activations.

    A sequential one has the moments of one input at a time, and its cross moments.
    """
    layers: dict[str, int] = {}
    widest = 0
    for tensor in plan.tensors:
        if len(tensor.shape) == 2 and "layers" in tensor.module:
            rows, columns = tensor.shape
            layer, is_first = ".".join(tensor.module.split(".")[:3]), input_of(tensor.module) == tensor.module
            moments = 0 if plan.sequential else 8 * columns**2 * is_first
            layers[layer] = layers.get(layer, 0) + 2 * rows * columns + moments
            widest = max(widest, columns)
    state = int(STATE * audio) * (2 if plan.sequential else 1)
    both = 2 * 8 * widest**2 if plan.sequential else 0
    return Estimate(
        memory=needed.memory + max(layers.values(), default=0) + both + 2 * state,
        disk=needed.disk + state,
        seconds=needed.seconds + walk_seconds(plan, audio),
    )


def _seconds(tensor: TensorPlan, nbytes: int) -> float:
    if uses_moments(tensor):
        return rounding_seconds(tensor)
    how = tensor.quantization
    return nbytes / (METHODS[how.search].throughput if how else CAST_ONLY)


def check_room(folder: Path, needed: Estimate) -> None:
    """Raises ConvertError without enough memory, or disk where `folder` is."""
    check_disk(folder, needed.disk)
    available = psutil.virtual_memory().available
    if available < needed.memory:
        raise ConvertError(
            f"{_lacking(needed.memory, available)} of memory; close a program and run it again"
        )


def check_disk(folder: Path, needed: int) -> None:
    """Raises ConvertError if the disk of a folder has fewer free bytes than `needed`."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConvertError(f"{folder}: {_lacking(needed, free)} on its disk; make room and run it again")


def free_disk(out: Path) -> tuple[int, int | None]:
    """Free bytes for out/, and on the disk of the Hub's cache; None: it is the same disk."""
    from huggingface_hub.constants import HF_HUB_CACHE

    place, cache = _existing(out), _existing(Path(HF_HUB_CACHE))
    free = shutil.disk_usage(place).free
    same = cache.stat().st_dev == place.stat().st_dev
    return free, None if same else shutil.disk_usage(cache).free


def fits(disk: int, download: int, free: int, cache_free: int | None) -> bool:
    """Whether there is room for what is written to out/, and for what is downloaded into the Hub's cache."""
    if cache_free is None:
        return free >= disk + download
    return free >= disk and cache_free >= download


def _existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _lacking(needed: int, free: int) -> str:
    return f"{needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free"
