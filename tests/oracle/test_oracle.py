"""Random models of awkward sizes: voxrun computes what transformers computes, in float32, stage by stage."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from comparison import TOLERANCES, error, stages
from reference import Oracle
from small_models import random_tensors, small_params, write_mistral

from voxrun.config import ModelConfig
from voxrun.device import mx, nn
from voxrun.model import VoxtralRealtime
from voxrun.schedule import Schedule
from voxrun.tokenizer import Tokenizer
from voxrun.transcriber import Transcriber
from voxrun.weights import assemble, load_model, read_tensors

pytestmark = pytest.mark.oracle

LENGTHS = {"2 s": 32000, "16.3 s": 260800, "no multiple of 80 ms": 50001}
STAGES = sorted(TOLERANCES)


@pytest.fixture(scope="module", params=[20, 750], ids="window {}".format)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    params = small_params(encoder={"sliding_window": request.param})
    tensors = random_tensors(ModelConfig.from_dict(params))
    return write_mistral(tmp_path_factory.mktemp("model"), params, tensors)


@pytest.fixture(scope="module")
def oracle(folder: Path) -> Oracle:
    return Oracle(folder)


def recording(n: int) -> np.ndarray:
    """Noise that swells and fades, from near silence to loud."""
    random = np.random.default_rng(n)
    loudness = 10 ** (-3 + 2.5 * np.sin(np.arange(n) / 5000) ** 2)
    return (random.standard_normal(n) * loudness * 0.3).astype(np.float32)


def said(tokenizer: Tokenizer, model: VoxtralRealtime, n: int) -> list[int]:
    """Any tokens do, if they vary: both sides are forced to them."""
    count = Schedule.for_delay(model.config.audio, tokenizer, None).n_tokens(n)
    return np.random.default_rng(count).integers(0, model.config.vocab_size, count).tolist()


def errors(folder: Path, oracle: Oracle, model: VoxtralRealtime, n: int) -> dict[str, float]:
    tokenizer = Tokenizer(folder)
    samples, tokens = recording(n), said(tokenizer, model, n)
    ours, theirs = stages(model, tokenizer, samples, tokens), oracle.stages(samples, tokens)
    return {stage: error(ours[stage], theirs[stage]) for stage in STAGES}


@pytest.mark.parametrize("n", LENGTHS.values(), ids=LENGTHS.keys())
def test_every_stage_is_within_its_tolerance(folder: Path, oracle: Oracle, n: int) -> None:
    found = errors(folder, oracle, load_model(folder), n)
    assert {stage: value for stage, value in found.items() if not value < TOLERANCES[stage]} == {}


@pytest.mark.parametrize("n_delay", [1, 6, 30])
def test_greedy_tokens_are_the_oracles_for_any_delay(folder: Path, oracle: Oracle, n_delay: int) -> None:
    samples = recording(32000)
    session = Transcriber.open(folder).session(delay_ms=80 * n_delay)
    session.feed(samples)
    tokens, margin = oracle.greedy(samples, n_delay)
    assert margin > 1e-4  # no near tie: a difference would be a fault
    assert session.finish().tokens == tokens


def wider_window(folder: Path, monkeypatch: pytest.MonkeyPatch) -> VoxtralRealtime:
    config = ModelConfig.from_folder(folder)
    encoder = replace(config.encoder, sliding_window=config.encoder.sliding_window + 1)
    return assemble(replace(config, encoder=encoder), read_tensors(folder), "a mutant")


def tanh_gelu(folder: Path, monkeypatch: pytest.MonkeyPatch) -> VoxtralRealtime:
    monkeypatch.setattr(nn, "gelu", nn.gelu_approx)
    return load_model(folder)


def other_rotation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> VoxtralRealtime:
    rope: Any = mx.fast.rope
    monkeypatch.setattr(mx.fast, "rope", lambda *a, **k: rope(*a, **(k | {"traditional": False})))
    return load_model(folder)


@pytest.mark.parametrize("mutant", [wider_window, tanh_gelu, other_rotation])
def test_a_mutant_is_beyond_the_tolerances(
    folder: Path, oracle: Oracle, monkeypatch: pytest.MonkeyPatch, mutant: Any
) -> None:
    found = errors(folder, oracle, mutant(folder, monkeypatch), LENGTHS["16.3 s"])
    assert found["mel"] < TOLERANCES["mel"]
    for stage in ("encoder", "adapter", "logits"):
        assert found[stage] > 3 * TOLERANCES[stage], stage
