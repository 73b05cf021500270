"""The embedded model and random ones say what the oracle says (made by tests/oracle/make_golden.py)."""

import hashlib
import json
from collections.abc import Iterator

import numpy as np
import pytest
from cases import GOLDEN_CASES, Case, folder_of
from committed import CHECKPOINT, CLIPS, GOLDEN
from comparison import TOLERANCES, Stages, error, heard, reference_of, stages

from voxrun.device import KERNELS_VARIABLE
from voxrun.model.cpu import layers
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
    validating = {name.partition("/")[0] for name in EVERY_CLIP}
    committed = [path.relative_to(CLIPS) for path in CLIPS.glob("*/*.flac")]
    assert sorted(path.as_posix() for path in committed if path.parts[0] in validating) == EVERY_CLIP


@pytest.mark.parametrize("clip", [*QUICK, *OTHERS])
def test_greedy_tokens_are_the_oracles(transcriber: Transcriber, clip: str) -> None:
    assert transcriber.transcribe(CLIPS / clip).tokens == ORACLE["clips"][clip]["tokens"]


@pytest.mark.parametrize("said", ORACLE["delays"])
def test_greedy_tokens_are_the_oracles_at_every_delay(transcriber: Transcriber, said: str) -> None:
    clip, delay_ms = said.split(" at ")
    heard = transcriber.transcribe(CLIPS / clip, delay_ms=float(delay_ms))
    assert heard.tokens == ORACLE["delays"][said]["tokens"]


@pytest.fixture(scope="module", params=["unpacked", "mapped", "MLX's"])
def kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    """Who computes on a CPU; on a GPU it is always MLX."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "mapped":
            patch.setattr(layers, "SMALL_MODEL", 0)
        if request.param == "MLX's":
            patch.setenv(KERNELS_VARIABLE, "none")
        yield


@pytest.fixture(scope="module", params=GOLDEN_CASES)
def golden(request: pytest.FixtureRequest) -> tuple[Case, Stages]:
    """A case, its greedy tokens and some rows of every stage."""
    with np.load(GOLDEN / f"{request.param}.npz") as file:
        return GOLDEN_CASES[request.param], dict(file)


@pytest.fixture(scope="module")
def subject(
    kernels: None, golden: tuple[Case, Stages], tmp_path_factory: pytest.TempPathFactory
) -> Transcriber:
    return Transcriber.open(folder_of(golden[0].model, tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def ours(golden: tuple[Case, Stages], subject: Transcriber) -> Stages:
    """Every stage in full, each from our own before it."""
    case, oracle = golden
    return stages(subject, case.samples, oracle["tokens"].tolist(), case.delay_ms)


@pytest.mark.slow
@pytest.mark.parametrize("stage", TOLERANCES)
def test_stages_are_the_oracles(golden: tuple[Case, Stages], ours: Stages, stage: str) -> None:
    name, oracle = reference_of(stage), golden[1]
    assert error(ours[stage][oracle[f"{name}_rows"]], oracle[name]) < TOLERANCES[stage]


@pytest.mark.slow
def test_a_session_gives_the_oracles_tokens(golden: tuple[Case, Stages], subject: Transcriber) -> None:
    case, oracle = golden
    session = subject.session(delay_ms=case.delay_ms)
    assert heard(session, [case.samples]).tokens == oracle["tokens"].tolist()
