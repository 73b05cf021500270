"""The decoder against the contract in plain numpy: window, delay conditioning, tied head."""

import brute_force
import numpy as np
import pytest
from comparison import TOLERANCES, error
from small_models import small_model

from voxrun.device import mx
from voxrun.model.decoder import delay_embedding
from voxrun.model.voxtral import VoxtralRealtime

LENGTH = 60


@pytest.fixture(scope="module")
def tokens() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 1024, LENGTH)


@pytest.fixture(scope="module")
def audio() -> np.ndarray:
    return np.random.default_rng(2).normal(0, 0.5, (LENGTH, 64)).astype(np.float32)


def decode(model: VoxtralRealtime, tokens: np.ndarray, audio: np.ndarray, steps: list[int]) -> np.ndarray:
    gains, caches = model.gains(6), model.decoder_caches()
    parts, start = [], 0
    for n in steps:
        heard = mx.array(audio[None, start : start + n])
        parts.append(model.decode(mx.array(tokens[start : start + n]), heard, gains, caches))
        start += n
    return np.array(mx.concatenate(parts, axis=1)[0])


@pytest.mark.parametrize("kernels", ["", "none"])
@pytest.mark.parametrize("window", [5, 7, 21, 8192])
@pytest.mark.parametrize("steps", [[LENGTH], [39] + [1] * 21, [7, 13, 1, 39]])
def test_decoder_is_the_contracts_for_any_window_and_steps(
    monkeypatch: pytest.MonkeyPatch,
    kernels: str,
    tokens: np.ndarray,
    audio: np.ndarray,
    window: int,
    steps: list[int],
) -> None:
    monkeypatch.setenv("VOXRUN_KERNELS", kernels)
    monkeypatch.setattr("voxrun.model.ring.GROWTH", 4)  # rings end, and grow, within the recording
    model, tensors = small_model(sliding_window=window)
    embedded = tensors["language_model.embed_tokens.weight"][tokens] + audio
    expected = brute_force.decode(model.config, tensors, embedded, n_delay=6)
    assert error(decode(model, tokens, audio, steps), expected) < TOLERANCES["logits"]


def test_a_window_that_is_off_by_one_is_far_beyond_the_tolerance(
    tokens: np.ndarray, audio: np.ndarray
) -> None:
    model, _ = small_model(sliding_window=7)
    wider, _ = small_model(sliding_window=8)
    ours, theirs = (decode(m, tokens, audio, [LENGTH]) for m in (model, wider))
    assert error(ours, theirs) > 100 * TOLERANCES["logits"]


def test_each_delay_conditions_the_decoder_differently() -> None:
    model, _ = small_model()
    short, long = (np.array(model.gains(n)[0]) for n in (6, 7))
    assert error(short, long) > 100 * TOLERANCES["logits"]


@pytest.mark.parametrize("n_delay", [1, 6, 30])
def test_delay_embedding_is_exact_to_float32(n_delay: int) -> None:
    angles = [n_delay * 10000 ** (-i / 32) for i in range(32)]
    expected = np.array([*np.cos(angles), *np.sin(angles)])
    assert np.abs(np.array(delay_embedding(n_delay, 64))[0] - expected).max() < 1e-7


def test_head_is_the_embedding() -> None:
    model, tensors = small_model()
    hidden = np.random.default_rng(3).normal(size=(1, 2, 64)).astype(np.float32)
    expected = hidden[0] @ tensors["language_model.embed_tokens.weight"].T
    logits = model.language_model.logits(mx.array(hidden))
    assert logits.dtype == mx.float32
    assert error(np.array(logits[0]), expected) < TOLERANCES["logits"]
