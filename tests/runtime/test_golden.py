"""The embedded tiny model says what the oracle says, token by token (made by tests/oracle/make_golden.py)."""

import hashlib
import json

import numpy as np
import pytest
import soundfile
from committed import CHECKPOINT, CLIPS, GOLDEN
from comparison import TOLERANCES, error, stages

from voxrun.transcriber import Transcriber

ORACLE = json.loads((GOLDEN / "tokens.json").read_text(encoding="utf-8"))
EVERY_CLIP = sorted(ORACLE["clips"])
# One chain longer than the encoder's window of 15 s, half of the digits, a third of the prompts: all that
# differs between clips, in a quarter of the time (the 48 take two minutes without a BLAS). The others are
# checked with the oracle's tests.
QUICK = [
    "chains/chain-1.flac",
    *[name for name in EVERY_CLIP if name.startswith("digits/")][::2],
    *[name for name in EVERY_CLIP if name.startswith("prompts/")][::3],
]
OTHERS = [pytest.param(name, marks=pytest.mark.oracle) for name in EVERY_CLIP if name not in QUICK]


def test_golden_tokens_are_of_the_committed_checkpoint_and_clips() -> None:
    weights = (CHECKPOINT / "consolidated.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == ORACLE["checkpoint_sha256"]
    assert sorted(path.relative_to(CLIPS).as_posix() for path in CLIPS.glob("*/*.flac")) == EVERY_CLIP


@pytest.mark.parametrize("clip", [*QUICK, *OTHERS])
def test_greedy_tokens_are_the_oracles(transcriber: Transcriber, clip: str) -> None:
    assert transcriber.transcribe(CLIPS / clip).tokens == ORACLE["clips"][clip]["tokens"]


def test_stages_are_the_oracles_within_the_contracts_tolerances(transcriber: Transcriber) -> None:
    golden = np.load(GOLDEN / "stages.npz")
    clip = str(golden["clip"])
    samples, _ = soundfile.read(CLIPS / clip, dtype="float32")
    ours = stages(transcriber.model, transcriber.tokenizer, samples, ORACLE["clips"][clip]["tokens"])
    for name, tolerance in TOLERANCES.items():
        assert error(ours[name][golden[f"{name}_rows"]], golden[name]) < tolerance, name
