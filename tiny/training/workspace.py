"""Where the files of the training line live."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tiny.training.errors import TrainingError

TRAINING = Path(__file__).resolve().parent
TINY = TRAINING.parent
WEIGHTS = "consolidated.safetensors"


@dataclass(frozen=True)
class Workspace:
    """One run of the line: a folder for what it generates, and how large the run is.

    `scale` shortens a run: it multiplies the training steps of every phase and the number of
    spoken synthetic sentences. `start` is an exported checkpoint to continue from. Runs that differ
    in one of them share the recordings and nothing else.

    `device` is where phases train, `workers` how many processes make batches for it, and `seconds`,
    if given, how long each phase lasts, in place of its steps.
    """

    data: Path = TRAINING / "data"
    scale: float = 1.0
    start: Path | None = None
    out: Path | None = None
    model: Path | None = None
    overwrite: bool = False
    device: str = "cpu"
    workers: int = 0
    seconds: float | None = None

    @property
    def packages(self) -> Path:
        """Folder of the Debian package files."""
        return self.data / "packages"

    @property
    def unpacked(self) -> Path:
        """Folder of the unpacked packages, shared by all runs."""
        return self.data / "recordings"

    @property
    def run(self) -> Path:
        """Folder of everything else this run generates."""
        start = f"-from-{fingerprint(self.start)}" if self.start else ""
        return self.data / f"scale-{self.scale:g}{start}"

    @property
    def export(self) -> Path:
        """Folder the exported checkpoint is written to."""
        return self.out or self.run / "checkpoint"

    @property
    def evaluated(self) -> Path:
        """Folder of the checkpoint to evaluate."""
        return self.model or self.export

    def path(self, *parts: str) -> Path:
        """A path below this run's folder."""
        return self.run.joinpath(*parts)

    def needs(self, path: Path, stage: str) -> Path:
        """`path` if it exists, else a message that names the stage which makes it."""
        if not path.exists():
            raise TrainingError(f"{path} is missing: run the stage '{stage}' first")
        return path

    def needs_free_export(self) -> None:
        """Refuse to replace a checkpoint unless the user said so."""
        if (self.export / WEIGHTS).exists() and not self.overwrite:
            raise TrainingError(f"{self.export} holds a checkpoint: --overwrite replaces it")


@cache
def fingerprint(checkpoint: Path) -> str:
    """The first eight hexadecimal digits of the SHA-256 of a checkpoint's weights."""
    weights = checkpoint / WEIGHTS
    if not weights.exists():
        raise TrainingError(f"{checkpoint} is no checkpoint: it has no {WEIGHTS}")
    return hashlib.sha256(weights.read_bytes()).hexdigest()[:8]


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` on success, so an interrupted stage leaves nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    yield part
    part.replace(path)
