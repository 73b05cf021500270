"""What computes, without a name of a user, a host or a folder."""

import importlib.metadata
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

from voxrun import __version__
from voxrun.device import device_kind, mx
from voxrun.model.description import device_title, kernels
from voxrun.parallel import cores
from voxrun.stream.at_once import memory

from .results import Machine

LIMITS = ("memory_size", "total_memory", "max_recommended_working_set_size", "max_buffer_length")
"""What MLX tells of a GPU's memory."""
PACKAGES = ("mlx", "mlx-metal", "mlx-cuda", "mlx-cuda-13", "mlx-cpu", "numpy", "numba")


def machine() -> Machine:
    """The one that this runs on."""
    info = mx.device_info()
    return Machine(
        kind=device_kind(),
        name=device_title(),
        kernels=kernels(),
        cores=cores(),
        memory=memory(),
        system=f"{platform.system()} {platform.mac_ver()[0] or platform.release()} {platform.machine()}",
        versions=versions(),
        limits={name: int(info[name]) for name in LIMITS if name in info},
    )


def versions() -> dict[str, str]:
    """Of voxrun, Python and what computes."""
    found = {"voxrun": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found


def resident() -> int | None:
    """Bytes of this process in memory now; None where the system has no such file."""
    if sys.platform != "linux":
        return None
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
