"""Stage `recordings`: fetch the two Debian packages with the prompts; decode a prompt by its key.

A key is the path of a recording below the sounds folder without its ending, such as `digits/1`.
"""

import shutil
import subprocess
from pathlib import Path

import numpy as np

from tiny.training.errors import TrainingError
from tiny.training.workspace import Workspace, written_whole

PACKAGES = ("asterisk-core-sounds-en", "asterisk-core-sounds-en-g722")
SOUNDS = Path("usr/share/asterisk/sounds/en_US_f_Allison")
TRANSCRIPTS = Path("usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
RATE = 16_000


def output(work: Workspace) -> Path:
    """The folder of the unpacked packages."""
    return work.unpacked


def run(work: Workspace) -> None:
    """Download (no root rights needed) and unpack the packages into the workspace."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise TrainingError(f"{tool} not found: the recordings come from Debian's packages")
    work.packages.mkdir(parents=True, exist_ok=True)
    with written_whole(work.unpacked) as folder:
        for package in PACKAGES:
            _call(["dpkg-deb", "-x", str(_download(work.packages, package)), str(folder)])


def _download(folder: Path, package: str) -> Path:
    """The newest package file in `folder`, fetched if there is none."""
    pattern = f"{package}_*.deb"
    if not any(folder.glob(pattern)):
        _call(["apt-get", "download", package], cwd=folder)
    return max(folder.glob(pattern))


def _call(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TrainingError(f"'{' '.join(command)}' failed: {done.stderr.strip()}")


def keys(work: Workspace) -> list[str]:
    """All recording keys, sorted."""
    root = work.needs(work.unpacked, "recordings") / SOUNDS
    return sorted(str(p.relative_to(root).with_suffix("")) for p in root.rglob("*.g722"))


def load(work: Workspace, key: str) -> np.ndarray:
    """Samples of one recording, int16 [n], 16 kHz mono."""
    import av  # here, for nothing else needs it

    path = work.needs(work.unpacked, "recordings") / SOUNDS / f"{key}.g722"
    if not path.exists():
        raise TrainingError(f"no recording named {key!r} in the Debian package")
    with av.open(str(path), format="g722") as container:
        blocks = [frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]
    return np.concatenate(blocks)


def load_float(work: Workspace, key: str) -> np.ndarray:
    """Samples of one recording, float32 [n] in -1..1."""
    return load(work, key).astype(np.float32) / 32768
