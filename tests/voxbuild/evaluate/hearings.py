"""Clips, models and jobs for the tests of evaluation; as a program it hears clips, to be killed."""

import shutil
import sys
from pathlib import Path

import numpy as np

from voxbuild.evaluate.jobs import UNQUANTIZED, Job, Model
from voxbuild.evaluate.local import Local
from voxbuild.evaluate.records import Records
from voxbuild.evaluate.run import references
from voxrun.files.hashes import sha256_of

ROOT = Path(__file__).resolve().parents[3]
CHECKPOINT = ROOT / "tiny/checkpoint"
DELAY = 480.0


def shortest(n: int) -> list[Path]:
    """The shortest recordings that the embedded model hears words in."""
    return sorted((ROOT / "tiny/clips/prompts").glob("*.flac"), key=lambda path: path.stat().st_size)[
        1 : n + 1
    ]


def coarser(folder: Path) -> Path:
    """The embedded model with one bit of each weight's fraction; return its folder."""
    shutil.copytree(CHECKPOINT, folder)
    path = folder / "consolidated.safetensors"
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    weights = np.frombuffer(content, np.uint16, offset=start)
    weights &= 0xFFC0
    path.write_bytes(content)
    return folder


def model_of(folder: Path, name: str = UNQUANTIZED) -> Model:
    """A model in a folder."""
    return Model(name, folder, sha256_of(folder / "consolidated.safetensors"))


def jobs_of(model, paths, given=None, delay_ms=DELAY):
    """A job for each recording."""
    given = given or [None] * len(paths)
    return [
        Job(model, f"few/{p.name}", p, sha256_of(p), delay_ms, g) for p, g in zip(paths, given, strict=True)
    ]


if __name__ == "__main__":
    references(
        jobs_of(model_of(CHECKPOINT), shortest(8)),
        Records(Path(sys.argv[1])),
        Local(),
        lambda: print("heard", flush=True),
    )
