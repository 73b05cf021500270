"""Rows of several streams in one pass: each gets what it gets alone, in the type of the activations."""

import numpy as np
import pytest
from comparison import TOLERANCES, error
from small_models import small_model

from voxrun.device import mx
from voxrun.model.voxtral import DecoderRows, VoxtralRealtime

POSITIONS = {1: 1, 6: 40, 30: 3}
"""Delay -> positions of a stream with it."""


def mels() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(0.2, 0.4, (8 * n, 128)).astype(np.float32) for n in POSITIONS.values()]


def rows(model: VoxtralRealtime, audio: list[mx.array]) -> list[DecoderRows]:
    pairs = zip(POSITIONS.items(), audio, strict=True)
    return [
        DecoderRows(list(range(90, 90 + n)), heard, model.gains(delay), model.decoder_caches())
        for (delay, n), heard in pairs
    ]


@pytest.mark.parametrize("kernels", ["", "none"])
def test_each_stream_gets_what_it_gets_alone(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    monkeypatch.setenv("VOXRUN_KERNELS", kernels)
    monkeypatch.setattr("voxrun.model.ring.GROWTH", 4)  # rings end, and grow, within the recording
    model, _ = small_model(encoder={"sliding_window": 50}, sliding_window=17)
    together = model.encode_all(mels(), [model.encoder_state() for _ in POSITIONS])
    alone = [model.encode(mel, model.encoder_state()) for mel in mels()]
    for ours, theirs in zip(together, alone, strict=True):
        assert error(np.array(ours), np.array(theirs)) < TOLERANCES["encoder"]
    ours = np.array(model.decode_all(rows(model, alone)))
    theirs = [np.array(model.decode_all([stream])) for stream in rows(model, alone)]
    assert error(ours, np.concatenate(theirs, axis=1)) < TOLERANCES["logits"]


def test_nothing_in_a_pass_widens_the_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    """One float32 factor would make a GPU compute all that follows in float32."""
    monkeypatch.setenv("VOXRUN_KERNELS", "none")
    model, _ = small_model()
    model.compute_in(mx.bfloat16)
    states = [model.encoder_state() for _ in POSITIONS]
    audio = model.encode_all(mels(), states)
    streams = rows(model, audio)
    hidden = model.decode_all(streams)
    caches = [state.caches[0] for state in states] + [stream.caches[0] for stream in streams]
    arrays = [*audio, hidden, *(cache.ring for cache in caches), *(state.conv_tail for state in states)]
    assert {array.dtype for array in arrays} == {mx.bfloat16}
    assert model.language_model.logits(hidden).dtype == mx.float32
