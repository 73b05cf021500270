"""An environment for each peer, and what the machine is."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

from runs import tell

PINNED = {"voxmlx": "voxmlx==0.0.2", "mlx-audio": "mlx-audio[stt]==0.6.2"}
READY = "ready"


def python_of(peer: str, folder: Path, extra: str) -> Path:
    """The interpreter of a peer's environment in `folder`, made with pip if it is not there.

    MLX is of our own version, with `extra` (cpu, cuda13; none on macOS). Raises CalledProcessError, OSError.
    """
    home = folder.resolve() / peer
    python = home / "bin" / "python"
    if not (home / READY).exists():
        tell(f"making an environment for {PINNED[peer]} in {home}")
        venv.create(home, with_pip=True, clear=True)
        backend = f"[{extra}]" if extra else ""
        wanted = [PINNED[peer], f"mlx{backend}=={importlib.metadata.version('mlx')}"]
        subprocess.run([python, "-m", "pip", "install", "-q", *wanted], check=True, stdout=sys.stderr)
        (home / READY).touch()
    return python


def machine() -> str:
    """Processor, cores, memory and system in a line."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, "
        f"{platform.system()} {platform.release()}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return platform.machine()
