"""The causal, windowed encoder against the contract in plain numpy, whole and in pieces."""

import brute_force
import numpy as np
import pytest
from comparison import TOLERANCES, error
from small_models import small_model

from voxrun.device import mx
from voxrun.model.voxtral import VoxtralRealtime

CAUSAL_ONLY = 10_000


@pytest.fixture(scope="module")
def mel() -> np.ndarray:
    return np.random.default_rng(1).normal(0.2, 0.4, (280, 128)).astype(np.float32)


def encode(model: VoxtralRealtime, mel: np.ndarray, chunk: int) -> np.ndarray:
    state = model.encoder_state()
    parts = [model.encoder([mx.array(mel[None, i : i + chunk])], [state]) for i in range(0, len(mel), chunk)]
    return np.array(mx.concatenate(parts, axis=1)[0])


@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 7, 20, 30, 139, 140, CAUSAL_ONLY])
@pytest.mark.parametrize("chunk", [2, 38, 64, 280])
@pytest.mark.parametrize("kernels", ["", "none"])
def test_encoder_is_the_contracts_for_any_window_and_chunk(
    monkeypatch: pytest.MonkeyPatch, kernels: str, mel: np.ndarray, window: int, chunk: int
) -> None:
    monkeypatch.setenv("VOXRUN_KERNELS", kernels)
    monkeypatch.setattr("voxrun.model.ring.GROWTH", 4)  # rings end, and grow, within the recording
    model, tensors = small_model(encoder={"sliding_window": window})
    expected = brute_force.encode(model.config, tensors, mel)
    assert error(encode(model, mel, chunk), expected) < TOLERANCES["encoder"]


def test_frames_beyond_the_window_have_no_effect(mel: np.ndarray) -> None:
    windowed, _ = small_model(encoder={"sliding_window": 7})
    causal, _ = small_model(encoder={"sliding_window": CAUSAL_ONLY})
    ours, theirs = encode(windowed, mel, 280), encode(causal, mel, 280)
    assert error(ours[:7], theirs[:7]) < TOLERANCES["encoder"]
    assert error(ours[7:], theirs[7:]) > 0.1


def test_a_window_that_is_off_by_one_is_far_beyond_the_tolerance(mel: np.ndarray) -> None:
    model, _ = small_model(encoder={"sliding_window": 20})
    wider, _ = small_model(encoder={"sliding_window": 21})
    assert error(encode(wider, mel, 280), encode(model, mel, 280)) > 100 * TOLERANCES["encoder"]


def test_later_audio_does_not_change_earlier_tokens(mel: np.ndarray) -> None:
    model, _ = small_model()
    changed = mel.copy()
    changed[100:] = 1.0
    before, after = encode(model, mel, 280), encode(model, changed, 280)
    assert np.array_equal(before[:50], after[:50])
    assert not np.array_equal(before[50], after[50])


def test_adapter_joins_four_frames(mel: np.ndarray) -> None:
    model, tensors = small_model()
    frames = np.random.default_rng(2).normal(size=(1, 12, 48)).astype(np.float32)
    joined = frames.reshape(3, 192) @ tensors["adapter.w_in.weight"].T
    expected = brute_force.gelu(joined) @ tensors["adapter.w_out.weight"].T
    assert error(np.array(model.adapter(mx.array(frames))[0]), expected) < TOLERANCES["adapter"]
