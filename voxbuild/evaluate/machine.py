"""What results depend on besides weights, clips and delay; equal machines give equal bytes."""

import platform

from threadpoolctl import threadpool_info

from voxrun.device import mx, on_cpu, own_kernels
from voxrun.parallel import cores

from .records import environment


def machine() -> dict[str, str]:
    """The versions, the device and the processor of this process; on a CPU also how it divides the work."""
    return {
        **environment(),
        "processor": _kernels() if on_cpu() else str(mx.device_info()["architecture"]),
    }


def _kernels() -> str:
    """Products of another BLAS, or divided among other cores, are rounded otherwise."""
    loaded = [library for library in threadpool_info() if library["user_api"] == "blas"]
    names = {" ".join([each["internal_api"], each.get("architecture", "")]).strip() for each in loaded}
    ours = "" if own_kernels() else ", without our kernels"
    return f"{platform.machine()}, {' and '.join(sorted(names))}, cores: {cores()}{ours}"


def differences(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """What differs between two machines, in words; empty if nothing does."""
    return ", ".join(
        f"{name} {theirs.get(name, 'none')} there, {ours.get(name, 'none')} here"
        for name in sorted({*ours, *theirs})
        if theirs.get(name) != ours.get(name)
    )
