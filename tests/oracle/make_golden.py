"""Write tests/data/golden: what the oracle says of the embedded tiny model. Run by hand, about a minute.

    pip install -e ./runtime -e '.[oracle]'
    python tests/oracle/make_golden.py

tokens.json: for each committed clip the greedy tokens, one for each position after the prompt, as
`voxrun.session.Session` yields them; `margin` is the clip's closest race between the best two logits.
stages.npz: some rows (`NAME_rows`) of each stage for STAGES_CLIP, the logits teacher-forced with its tokens.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import soundfile
import torch
import transformers
from reference import RATE, Oracle
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
from committed import CHECKPOINT, CLIPS, GOLDEN

STAGES_CLIP = "digits/digits-1.flac"
EVERY = {"mel": 7, "encoder": 5, "adapter": 3, "logits": 3}
"""Of which stage every how many rows are kept: all of them would be 0.9 MB."""


def main() -> None:
    """Decode all clips, write both files."""
    oracle = Oracle(CHECKPOINT)
    clips = {}
    for path in tqdm(sorted(CLIPS.glob("*/*.flac"))):
        tokens, margin = oracle.greedy(read(path))
        clips[path.relative_to(CLIPS).as_posix()] = {"margin": round(margin, 4), "tokens": tokens}
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / "tokens.json").write_text(as_json(clips), encoding="utf-8")
    stages = oracle.stages(read(CLIPS / STAGES_CLIP), clips[STAGES_CLIP]["tokens"])
    arrays = {"clip": np.array(STAGES_CLIP)}
    for name, values in stages.items():
        rows = np.arange(0, len(values), EVERY[name])
        arrays |= {name: values[rows], f"{name}_rows": rows}
    np.savez_compressed(GOLDEN / "stages.npz", **arrays)


def read(path: Path) -> np.ndarray:
    """The samples [n] of a clip."""
    samples, rate = soundfile.read(path, dtype="float32")
    assert rate == RATE
    assert samples.ndim == 1
    return samples


def as_json(clips: dict[str, dict]) -> str:
    """One clip a line, so that a diff shows which changed."""
    weights = (CHECKPOINT / "consolidated.safetensors").read_bytes()
    head = {
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "checkpoint_sha256": hashlib.sha256(weights).hexdigest(),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    each = ",\n".join(f"  {json.dumps(name)}: {json.dumps(clip)}" for name, clip in clips.items())
    return "{\n" + ",\n".join([*lines, f' "clips": {{\n{each}\n }}']) + "\n}\n"


if __name__ == "__main__":
    main()
