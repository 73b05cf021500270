"""The one place that imports MLX, and the choice of what computes: import `mx` and `nn` from here.

On a GPU MLX computes everything. On a CPU it takes about 50 times as long as necessary: its Linux wheel has
the reference BLAS (about 1.5 GFLOP/s), its quantized product reads 0.6 GB/s, its softmax takes 12 ns a score.
There our own kernels (`voxrun.model.cpu`) do most of the work.
"""

import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

__all__ = ["mx", "nn", "tree_flatten", "tree_unflatten"]

KERNELS_VARIABLE = "VOXRUN_KERNELS"
"""Environment variable: `none` selects MLX's own products on a CPU, to compare ours with."""

FIRST_M3 = 15
"""Generation of the GPU in an M3; from it on MLX has other products for few rows."""
CPU_BUFFERS = 64 * 2**20
LEAST_BUFFERS, MOST_BUFFERS, SHARE = 256 * 2**20, 4 * 2**30, 16
"""On a GPU MLX keeps a sixteenth of the memory, within these bytes: without a limit, other runtimes grew
beyond 20 GB in an hour; with a small one, each pass allocates anew."""


def on_cpu() -> bool:
    """Whether MLX computes on the CPU."""
    return bool(mx.default_device().type == mx.DeviceType.cpu)


def device_name() -> str:
    """What MLX computes on: cpu or gpu."""
    return "cpu" if on_cpu() else "gpu"


def device_kind() -> str:
    """The kind of device, as far as kernels differ: "M1 and M2", "M3 and later", "CUDA" or "CPU"."""
    return "CPU" if on_cpu() else gpu_kind(mx.device_info())


def gpu_kind(info: Mapping[str, Any]) -> str:
    """The kind of a GPU with this `mx.device_info()`: Apple's are named applegpu_g13s, an M1, and so on."""
    apple = re.match(r"applegpu_g(\d+)", str(info.get("architecture")))
    if not apple:
        return "CUDA"
    return "M1 and M2" if int(apple[1]) < FIRST_M3 else "M3 and later"


class Limits(NamedTuple):
    """Of MLX's memory, in bytes."""

    buffers: int
    """Freed memory that is kept for reuse."""
    wired: int
    """Memory that the system may not take away while it is in use; 0 where that is not possible."""


def limits(kind: str, info: Mapping[str, Any]) -> Limits:
    """For a kind of device with this `mx.device_info()`."""
    if kind == "CPU":
        return Limits(CPU_BUFFERS, 0)
    memory = int(info.get("memory_size") or info.get("total_memory") or 0)
    buffers = min(MOST_BUFFERS, max(LEAST_BUFFERS, memory // SHARE))
    return Limits(buffers, int(info.get("max_recommended_working_set_size") or 0))  # which only Apple's have


def set_limits() -> None:
    """Apply the device's limits, when a model is loaded.

    They need not be lifted afterwards: only memory in use is wired, and buffers are given back when the model
    is unloaded (`mx.clear_cache`).
    """
    kept, wired = limits(device_kind(), mx.device_info())
    mx.set_cache_limit(kept)
    if wired:
        mx.set_wired_limit(wired)


def own_kernels() -> bool:
    """Whether our kernels are used: on a CPU, unless they are switched off."""
    return on_cpu() and os.environ.get(KERNELS_VARIABLE) != "none"


def activation_dtype(stored: mx.Dtype) -> mx.Dtype:
    """The dtype to compute in: float32 on a CPU (half floats are 9-30x slower there), else as stored."""
    return mx.float32 if on_cpu() else stored
