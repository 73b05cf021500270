"""Write tests/data/golden: what the oracle says, for the suite without torch. By hand, about a minute.

    pip install -e ./runtime -e '.[oracle]'
    python tests/oracle/make_golden.py

tokens.json: for each committed clip the greedy tokens, one for each position after the prompt, as
`voxrun.stream.session.Session` yields them; `margin` is the clip's closest race between the best two logits,
relative to the largest. `delays`: the same of cases.DELAYED at cases.DELAYS_MS.
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
from cases import DELAYED, DELAYS_MS, GOLDEN_CASES, TINY, Case
from committed import CHECKPOINT, CLIPS, GOLDEN

ROWS = {"mel": 24, "stem": 24, "encoder": 24, "adapter": 24, "gains": 24, "logits": 12}
"""How many rows of a stage are kept at most, from the first to the last: all of them would be megabytes."""


def main() -> None:
    """Decode all clips, write all files."""
    GOLDEN.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as models:
        bench = Bench(Path(models))
        (GOLDEN / "tokens.json").write_text(as_json(clips(bench), delays(bench)), encoding="utf-8")
        for name, case in GOLDEN_CASES.items():
            np.savez_compressed(GOLDEN / f"{name}.npz", **arrays(bench.expected(case)))


def clips(bench: Bench) -> dict[str, dict]:
    """Tokens and closest race of each committed clip that validates."""
    paths = [path for path in CLIPS.glob("*/*.flac") if path.parent.name != "calibration"]
    names = sorted(path.relative_to(CLIPS).with_suffix("").as_posix() for path in paths)
    return {f"{name}.flac": decoded(bench, Case(TINY, name)) for name in tqdm(names)}


def delays(bench: Bench) -> dict[str, dict]:
    """The same of some clips at other delays, by `CLIP at MS`."""
    cases = [Case(TINY, name, delay_ms) for name in DELAYED for delay_ms in DELAYS_MS]
    return {f"{case.recording}.flac at {case.delay_ms}": decoded(bench, case) for case in tqdm(cases)}


def decoded(bench: Bench, case: Case) -> dict:
    """A case's greedy tokens and closest race."""
    tokens, margin = bench.oracle(case.model).greedy(case.samples, case.n_delay)
    return {"margin": round(margin, 6), "tokens": tokens}


def arrays(expected: Expected) -> dict[str, np.ndarray]:
    """A case's tokens, and the kept rows of its stages with their indices."""
    kept = {"tokens": np.array(expected.tokens)}
    for stage, count in ROWS.items():
        values = expected.stages[stage]
        rows = np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))
        kept |= {stage: values[rows], f"{stage}_rows": rows}
    return kept


def as_json(clips: dict[str, dict], delays: dict[str, dict]) -> str:
    """One clip a line, so that a diff shows which changed."""
    weights = (CHECKPOINT / "consolidated.safetensors").read_bytes()
    head = {
        "torch": torch.__version__.split("+")[0],
        "transformers": transformers.__version__,
        "checkpoint_sha256": hashlib.sha256(weights).hexdigest(),
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for key, group in (("clips", clips), ("delays", delays)):
        each = ",\n".join(f"  {json.dumps(name)}: {json.dumps(clip)}" for name, clip in group.items())
        lines.append(f' "{key}": {{\n{each}\n }}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
