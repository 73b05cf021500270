"""The one place that imports MLX, and the choice of what computes: import `mx` and `nn` from here.

On a GPU MLX computes everything. On a CPU it takes about 50 times as long as necessary: its Linux wheel has
the reference BLAS (about 1.5 GFLOP/s), its quantized product reads 0.6 GB/s, its softmax takes 12 ns a score.
There our own kernels (`voxrun.model.cpu`) do most of the work.
"""

import os
import re
from collections.abc import Mapping
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

__all__ = ["mx", "nn", "tree_flatten", "tree_unflatten"]

KERNELS_VARIABLE = "VOXRUN_KERNELS"
"""Environment variable: `none` selects MLX's own products on a CPU, to compare ours with."""

FIRST_M3 = 15
"""Generation of the GPU in an M3; from it on MLX has other products for few rows."""


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


def own_kernels() -> bool:
    """Whether our kernels are used: on a CPU, unless they are switched off."""
    return on_cpu() and os.environ.get(KERNELS_VARIABLE) != "none"


def activation_dtype(stored: mx.Dtype) -> mx.Dtype:
    """The dtype to compute in: float32 on a CPU (half floats are 9-30x slower there), else as stored."""
    return mx.float32 if on_cpu() else stored
