"""Write tests/data/golden: what the oracle says, for the suite without torch. By hand, about a minute.

    pip install -e ./runtime -e '.[oracle]'
    python tests/oracle/make_golden.py

tokens.json: for each committed clip the greedy tokens, one for each position after the prompt, as
`voxrun.stream.session.Session` yields them; `margin` is the clip's closest race between the best two logits,
relative to the largest.
NAME.npz, for each of cases.GOLDEN_CASES: the greedy tokens, and of each stage some rows (`STAGE_rows`),
the logits teacher-forced with those tokens.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import transformers
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "runtime"))
from bench import Bench, Expected
from cases import GOLDEN_CASES, TINY, Case
from committed import CHECKPOINT, CLIPS, GOLDEN

ROWS = {"mel": 24, "stem": 24, "encoder": 24, "adapter": 24, "gains": 24, "logits": 12}
"""How many rows of a stage are kept at most, from the first to the last: all of them would be megabytes."""


def main() -> None:
    """Decode all clips, write all files."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as models:
        bench = Bench(Path(models))
        (GOLDEN / "tokens.json").write_text(as_json(clips(bench)), encoding="utf-8")
        for name, case in GOLDEN_CASES.items():
            np.savez_compressed(GOLDEN / f"{name}.npz", **arrays(bench.expected(case)))


def clips(bench: Bench) -> dict[str, dict]:
    """Tokens and closest race of each committed clip that validates."""
    paths = [path for path in CLIPS.glob("*/*.flac") if path.parent.name != "calibration"]
    names = sorted(path.relative_to(CLIPS).with_suffix("").as_posix() for path in paths)
    decoded = {name: bench.oracle(TINY).greedy(Case(TINY, name).samples) for name in tqdm(names)}
    return {f"{n}.flac": {"margin": round(m, 6), "tokens": tokens} for n, (tokens, m) in decoded.items()}


def arrays(expected: Expected) -> dict[str, np.ndarray]:
    """A case's tokens, and the kept rows of its stages with their indices."""
    kept = {"tokens": np.array(expected.tokens)}
    for stage, count in ROWS.items():
        values = expected.stages[stage]
        rows = np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))
        kept |= {stage: values[rows], f"{stage}_rows": rows}
    return kept


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
