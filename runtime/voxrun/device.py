"""The one place that imports MLX: a real BLAS first, then the array library, then the device's dtype.

MLX's Linux CPU wheel resolves its matrix products to the reference BLAS it carries (about 1.5 GFLOP/s).
Symbols of a library loaded earlier and globally win, so an installed OpenBLAS or MKL makes the very same
calls some 50 times as fast. It must happen before `mlx.core` is imported: import `mx` and `nn` from here,
never from mlx.
"""

import ctypes
import os
import sys
from pathlib import Path

BLAS_VARIABLE = "VOXRUN_BLAS"
"""Environment variable: path of the BLAS to load, or `none` for MLX's own."""


def _candidates() -> list[str]:
    chosen = os.environ.get(BLAS_VARIABLE)
    if chosen:
        return [] if chosen == "none" else [chosen]
    wheels = sorted(str(p) for p in Path(sys.prefix, "lib").glob("libmkl_rt.so*"))
    return ["libopenblas.so.0", *wheels]


def preload_blas() -> str | None:
    """Load the first BLAS that can be found, globally; return its name, or None where there is none.

    Raises OSError if the library named by VOXRUN_BLAS cannot be loaded.
    """
    if sys.platform != "linux" or "mlx.core" in sys.modules:
        return None
    for name in _candidates():
        try:
            ctypes.CDLL(name, ctypes.RTLD_GLOBAL)
        except OSError:
            if os.environ.get(BLAS_VARIABLE):
                raise
            continue  # not installed: the next one, at worst MLX's own
        return name
    return None


blas = preload_blas()

import mlx.core as mx  # noqa: E402  (after the BLAS)
import mlx.nn as nn  # noqa: E402
from mlx.utils import tree_flatten, tree_unflatten  # noqa: E402


def on_cpu() -> bool:
    """Whether MLX computes on the CPU."""
    return bool(mx.default_device().type == mx.DeviceType.cpu)


def device_name() -> str:
    """What MLX computes on: cpu or gpu."""
    return "cpu" if on_cpu() else "gpu"


def activation_dtype(stored: mx.Dtype) -> mx.Dtype:
    """The dtype to compute in: float32 on a CPU (half floats are 9-30x slower there), else as stored."""
    return mx.float32 if on_cpu() else stored


__all__ = ["activation_dtype", "blas", "device_name", "mx", "nn", "on_cpu", "tree_flatten", "tree_unflatten"]
