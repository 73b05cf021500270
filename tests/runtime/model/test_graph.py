"""What a GPU waits for: the primitives of a step, and the host. The graphs are of MLX's own products."""

import io
import re
from typing import Any, NoReturn

import numpy as np
import pytest
from comparison import error
from small_models import small_params
from widths import gpu_model

from voxrun.device import mx
from voxrun.model.decoder import DecoderBlock
from voxrun.model.voxtral import DecoderRows, VoxtralRealtime

LAYER = {1: 84, 4: 87}
"""Primitives of a decoder layer at most, by rows, on MLX's CPU, where norm, rotation and attention are
composed of about 70. Without fused products there are 3 more, without shared masks and positions 30 more."""
ENCODER_LAYER = 91


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> VoxtralRealtime:
    return gpu_model("affine", mx.float32, monkeypatch)


def audio(n: int, model: VoxtralRealtime) -> mx.array:
    return mx.zeros((1, n, model.config.decoder.dim), model.dtype)


def step(model: VoxtralRealtime, counts: list[int], caches: list[Any], tokens: Any = None) -> mx.array:
    """The next tokens, not evaluated, of streams with so many rows each."""
    pairs = zip(counts, caches, strict=True)
    rows = [
        DecoderRows([5] * n if tokens is None else tokens, audio(n, model), model.gains(6), own)
        for n, own in pairs
    ]
    return mx.argmax(model.language_model.logits(model.decode_all(rows))[0], axis=-1).astype(mx.int32)


def primitives(array: mx.array) -> int:
    text = io.StringIO()
    mx.export_to_dot(text, array)
    return len(re.findall(r"shape=rectangle", text.getvalue()))


@pytest.mark.slow
def test_a_step_has_as_many_primitives_wherever_it_is_in_the_stream(model: VoxtralRealtime) -> None:
    """While the ring is new, after it has grown, and when its window has moved on, to its start too."""
    caches, found = model.decoder_caches(), []
    for positions in (3, 252, 60, 300, 300, 600):
        for n in (positions, 1):  # the ring grows, or is renumbered, and then no more
            mx.eval(step(model, [n], [caches]))
        tokens = step(model, [1], [caches])
        found.append(primitives(tokens))
        mx.eval(tokens)
    assert len(set(found)) == 1


@pytest.mark.parametrize("rows", [1, 4])
def test_a_layer_has_few_primitives(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    counts = {}
    for layers in (1, 3):
        model = gpu_model("affine", mx.float32, monkeypatch, small_params(n_layers=layers))
        counts[layers] = primitives(step(model, [rows], [model.decoder_caches()]))
    assert (counts[3] - counts[1]) / 2 <= LAYER[rows]


def test_a_layer_of_the_encoder_has_few_primitives(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {}
    for layers in (1, 3):
        model = gpu_model("affine", mx.float32, monkeypatch, small_params(encoder={"n_layers": layers}))
        stems, states = [mx.zeros((1, 8, model.config.encoder.dim))], [model.encoder_state()]
        monkeypatch.setattr(model.encoder, "stem", lambda mel, state: mel)
        counts[layers] = primitives(model.encoder(stems, states))
    assert (counts[3] - counts[1]) / 2 <= ENCODER_LAYER


def test_nobody_waits_between_a_pass_and_the_next(
    model: VoxtralRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Audio is encoded, and tokens that are not known yet are decoded, in passes that are only submitted."""
    caches, state = model.decoder_caches(), model.encoder_state()
    mx.eval(model.gains(6))

    def wait(*_: Any) -> NoReturn:
        raise AssertionError("the host waits")

    mel = np.zeros((3 * model.config.mel_per_position, model.config.audio.num_mel_bins), np.float32)
    asarray = np.asarray
    monkeypatch.setattr(mx, "eval", wait)
    monkeypatch.setattr(
        np, "asarray", lambda x, *a, **k: wait() if isinstance(x, mx.array) else asarray(x, *a, **k)
    )
    (heard,) = model.encode_all([mel], [state])
    tokens = mx.array([1])
    for position in range(3):
        hidden = model.decode_all(
            [DecoderRows(tokens, heard[:, position : position + 1], model.gains(6), caches)]
        )
        tokens = mx.argmax(model.language_model.logits(hidden)[0], axis=-1).astype(mx.int32)
        mx.async_eval(tokens)
    monkeypatch.undo()
    assert tokens.shape == (1,)
    assert caches[0].offset == 3


@pytest.mark.slow
def test_compiled_passes_give_the_same_and_are_not_traced_again(
    model: VoxtralRealtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, ours = model.decoder_caches(), model.decoder_caches()
    steps, random = [9, *[1] * 12, *[3, 1] * 4], np.random.default_rng(0)
    heard = [mx.array(random.normal(size=(1, n, model.config.decoder.dim)), mx.float32) for n in steps]
    expected = [np.array(model.decode([5] * x.shape[1], x, model.gains(6), plain)) for x in heard]
    model.compile_steps()
    monkeypatch.setattr("voxrun.model.ring.GROWTH", 4)  # rings grow
    traced, block = 0, DecoderBlock.__call__

    def call(*args: Any) -> Any:
        nonlocal traced
        traced += 1
        return block(*args)

    monkeypatch.setattr(DecoderBlock, "__call__", call)
    capacities = []
    for x, wanted in zip(heard, expected, strict=True):
        assert error(np.array(model.decode([5] * x.shape[1], x, model.gains(6), ours)), wanted) < 1e-6
        capacities.append(ours[0].capacity)
    sizes = {(x.shape[1], capacity) for x, capacity in zip(heard, capacities, strict=True)}
    assert traced == len(model.language_model.layers) * len(sizes) < len(model.language_model.layers) * 12
