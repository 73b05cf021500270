"""Estimates of the memory, disk and time that a build needs, from its plan: rough, and on the safe side."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from voxbuild.errors import ConvertError
from voxbuild.tensors.methods import METHODS
from voxrun.checkpoint.tensors import Tensor

from .planner import Plan, TensorPlan

BASE = 192 * 2**20
"""Bytes of the process before it converts: Python, NumPy, the compiler of the kernels, and our modules."""
IN_FLIGHT = 64 * 2**20
"""Bytes of the chunks of rows, and their copies, that are read, cast, quantized and written at a time."""
SMALL_FILES = 64 * 2**20
"""Bytes on disk besides the weights: tokenizer, configuration, index, lock, validation and card."""
FIXED_SECONDS = 2.0
"""Of any build: starting, reading headers, writing small files."""
CAST_ONLY = 0.5e9
"""Bytes of source converted in a second on two cores without quantization, when most is written."""


@dataclass(frozen=True)
class Estimate:
    """The needs of a conversion, without download and validation."""

    memory: int
    """Peak bytes."""
    disk: int
    """Bytes in out/."""
    seconds: float


def estimate(plan: Plan, header: Mapping[str, Tensor], views: int = 0) -> Estimate:
    """The needs of a conversion, with disk for `views` of it; `header` has the source's tensors by name."""
    # Scales and biases, which follow the packed weights, are held until a tensor's last row.
    held = max((sum(part.nbytes for part in t.outputs[1:]) for t in plan.tensors), default=0)
    return Estimate(
        memory=BASE + IN_FLIGHT + held,
        disk=(1 + views) * (plan.nbytes + SMALL_FILES),
        seconds=FIXED_SECONDS + sum(header[t.source].nbytes / _throughput(t) for t in plan.tensors),
    )


def _throughput(tensor: TensorPlan) -> float:
    how = tensor.quantization
    return METHODS[how.search].throughput if how else CAST_ONLY


def check_room(folder: Path, needed: Estimate, there: int) -> None:
    """Raises ConvertError without enough memory, or disk for the rest after the `there` bytes in `folder`."""
    check_disk(folder, needed.disk - there)
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


def _lacking(needed: int, free: int) -> str:
    return f"{needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free"
