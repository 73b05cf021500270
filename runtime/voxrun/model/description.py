"""How weights are stored, what computes, and how much memory that took, in words and numbers."""

import os
import resource
import sys

from voxrun.checkpoint.quantization import module_settings
from voxrun.device import KERNELS_VARIABLE, mx, on_cpu, own_kernels
from voxrun.parallel import cores

from .voxtral import VoxtralRealtime


def weights(model: VoxtralRealtime) -> str:
    """How the weights are stored, and what is computed with them."""
    quantization, computed = model.config.quantization, str(model.dtype).removeprefix("mlx.core.")
    if not quantization:
        return f"not quantized, computed in {computed}"
    chosen = (module_settings(quantization, path) for path in ("", *quantization))
    kinds = {_kind(**settings) for settings in chosen if settings}
    return f"{' and '.join(sorted(kinds))}, computed in {computed}"


def _kind(mode: str, bits: int = 0, group_size: int = 0) -> str:
    return f"{bits}-bit {mode} in groups of {group_size}"


def device() -> str:
    """What computes, by its name if it has one, and by whose kernels."""
    if not on_cpu():
        return f"GPU {device_title()}, {kernels()}"
    return f"CPU {device_title()}, {cores()} cores, {kernels()}"


def device_title() -> str:
    """What MLX calls the device."""
    return str(mx.device_info().get("device_name", "of unknown name"))


def kernels() -> str:
    """Whose kernels compute."""
    choice = os.environ.get(KERNELS_VARIABLE) if on_cpu() else None
    return (
        "voxrun's kernels"
        if own_kernels()
        else "MLX's kernels" + (f" ({KERNELS_VARIABLE}={choice})" if choice else "")
    )


def peak_resident() -> int:
    """The largest resident memory of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
