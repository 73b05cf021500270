"""An environment for each peer, and what the machine is."""

import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from runs import tell

PINNED = {"voxmlx": "voxmlx==0.0.2", "mlx-audio": "mlx-audio[stt]==0.6.2"}
"""Peers that compute with MLX."""
SERVERS = {"mlx-audio-server": PINNED["mlx-audio"].replace("[stt]", "[stt,server]")}
"""The same with what their servers need."""
DEFAULT_EXTRA = "" if sys.platform == "darwin" else "cpu"
"""MLX's backend."""
AUDIO = ("mistral-common", "soundfile", "soxr")
"""What transformers asks for when it reads this model's recordings."""
READY = "ready"
ORACLE = re.compile(r"extra == .oracle.")


def python_of(peer: str, folder: Path, extra: str) -> Path:
    """The interpreter of a peer's environment in `folder`, made with pip if it is not there.

    MLX is of our own version, with `extra` (cpu, cuda13; none on macOS). Raises CalledProcessError, OSError.
    """
    backend = f"[{extra}]" if extra else ""
    return _made(
        folder.resolve() / peer,
        [(PINNED | SERVERS)[peer], f"mlx{backend}=={importlib.metadata.version('mlx')}"],
    )


def python_of_transformers(folder: Path) -> Path:
    """Our own interpreter if it has the oracle extra, else one with what that extra asks for.

    Raises CalledProcessError, OSError.
    """
    if all(find_spec(name) for name in ("torch", "transformers")):
        return Path(sys.executable)
    asked = importlib.metadata.requires("voxbuild") or []
    oracle = [line.split(";")[0].strip() for line in asked if ORACLE.search(line)]
    return _made(folder.resolve() / "transformers", [*oracle, *AUDIO])


def _made(home: Path, wanted: Sequence[str]) -> Path:
    python = home / "bin" / "python"
    if not (home / READY).exists():
        tell(f"making an environment for {wanted[0]} in {home}")
        venv.create(home, with_pip=True, clear=True)
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
