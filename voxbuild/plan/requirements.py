"""What a build will need, from its plan: memory, disk, time. Pure; rough on purpose, and on the safe side."""

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
"""Bytes of the rows that are being read, cast, quantized and written at a time: chunks and their copies."""
SMALL_FILES = 64 * 2**20
"""Bytes on disk beside the weights: tokenizer, configuration, index, lock, validation and card."""
FIXED_SECONDS = 2.0
"""What any build takes: starting, reading headers, writing small files."""
CAST_ONLY = 0.5e9
"""Bytes of source converted in a second on two cores where nothing is quantized: so much is written."""


@dataclass(frozen=True)
class Estimate:
    """Of converting, without download and validation."""

    memory: int
    """Peak bytes."""
    disk: int
    """Bytes in out/."""
    seconds: float


def estimate(plan: Plan, header: Mapping[str, Tensor], views: int = 0) -> Estimate:
    """What converting needs, and the disk for `views` beside it; `header` is the source's, by name."""
    return Estimate(
        memory=BASE + IN_FLIGHT + max((_behind(t) for t in plan.tensors), default=0),
        disk=(1 + views) * (plan.nbytes + SMALL_FILES),
        seconds=FIXED_SECONDS + sum(header[t.source].nbytes / _throughput(t) for t in plan.tensors),
    )


def _behind(tensor: TensorPlan) -> int:
    """Bytes of scales and biases, which stand behind the packed weights and wait for the last row."""
    return sum(output.nbytes for output in tensor.outputs[1:])


def _throughput(tensor: TensorPlan) -> float:
    how = tensor.quantization
    return METHODS[how.search].throughput if how else CAST_ONLY


def check_room(folder: Path, needed: Estimate, there: int) -> None:
    """Raises ConvertError if what is needed does not fit: `there` are bytes that are in `folder` already."""
    check_disk(folder, needed.disk - there)
    available = psutil.virtual_memory().available
    if available < needed.memory:
        raise ConvertError(f"{_lacking(needed.memory, available)} of memory; end something and run it again")


def check_disk(folder: Path, needed: int) -> None:
    """Raises ConvertError if so many bytes do not fit the disk of a folder."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ConvertError(f"{folder}: {_lacking(needed, free)} on its disk; make room and run it again")


def _lacking(needed: int, free: int) -> str:
    return f"{needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free"
