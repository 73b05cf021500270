"""Quantized artifacts: the modules that have scales, each with the settings config.json gives its path."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import error
from small_models import build, quantized_tensors, small_params, write_artifact

from voxrun.device import mx
from voxrun.errors import ConfigError, WeightsError
from voxrun.model.cpu import layers
from voxrun.model.linear import quantized_product
from voxrun.model.load import load_model
from voxrun.model.voxtral import VoxtralRealtime

PARAMS = small_params()
AFFINE4 = {"group_size": 32, "bits": 4}
AFFINE6 = {"group_size": 32, "bits": 6}
MXFP4 = {"group_size": 32, "bits": 4, "mode": "mxfp4"}
SPECIAL = "language_model.layers.1.mlp.down_proj"
KEYS = "language_model.layers.1.attention.k_proj"
EMBEDDING = "language_model.embed_tokens"


def answers(model: VoxtralRealtime) -> dict[str, np.ndarray]:
    """Many rows and single ones, for these go different ways."""
    random = np.random.default_rng(0)
    mel = mx.array(random.normal(size=(80, 128)).astype(np.float32))
    audio = model.encode(mel, model.encoder_state())
    gains, caches = model.gains(6), model.decoder_caches()
    many = model.decode(mx.arange(9), audio[:, :9], gains, caches)
    one = model.decode(mx.array([900]), audio[:, 9:], gains, caches)
    logits = model.language_model.logits
    return {name: np.array(value) for name, value in [("many", logits(many)), ("one", logits(one))]}


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["unpacked", "mapped", "none"])
@pytest.mark.parametrize(
    ("default", "own"),
    [
        (AFFINE4, {}),
        (AFFINE4, {SPECIAL: AFFINE6}),
        (AFFINE4, {KEYS: AFFINE6}),
        (MXFP4, {}),
        (MXFP4, {EMBEDDING: AFFINE6 | {"mode": "affine"}}),
    ],
    ids=[
        "affine 4",
        "one module of 6 bits",
        "keys of 6 bits, which are not fused",
        "mxfp4",
        "mxfp4 with an affine embedding",
    ],
)
def test_quantized_weights_answer_as_their_dequantized_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default: dict, own: dict, kernels: str
) -> None:
    packed, plain = quantized_tensors(PARAMS, default, own)
    folder = write_artifact(tmp_path, PARAMS | {"quantization": default | own}, packed)
    monkeypatch.setenv("VOXRUN_KERNELS", kernels)
    if kernels == "mapped":
        monkeypatch.setattr(layers, "SMALL_MODEL", 0)
    model = load_model(folder)
    ours, expected = answers(model), answers(build(PARAMS, plain))
    assert error(ours["many"], expected["many"]) < 2e-5
    assert error(ours["one"], expected["one"]) < 2e-5


def test_a_module_of_other_bits_than_said_is_misshapen(tmp_path: Path) -> None:
    packed, _ = quantized_tensors(PARAMS, AFFINE4, {SPECIAL: AFFINE6})
    write_artifact(tmp_path, PARAMS | {"quantization": AFFINE4}, packed)
    with pytest.raises(
        WeightsError, match=rf"1 misshapen \({SPECIAL}\.weight \(64, 18\) instead of \(64, 12\)\)"
    ):
        load_model(tmp_path)


def test_quantized_weights_without_settings_are_named(tmp_path: Path) -> None:
    packed, _ = quantized_tensors(PARAMS, AFFINE4)
    with pytest.raises(WeightsError, match=r"is quantized, but config\.json does not say how"):
        load_model(write_artifact(tmp_path, PARAMS, packed))


@pytest.mark.parametrize("settings", [{"group_size": 32, "bits": 7}, {"bits": 4}, MXFP4 | {"mode": "mxfp5"}])
def test_settings_that_mlx_does_not_know_are_a_config_error(tmp_path: Path, settings: dict) -> None:
    packed, _ = quantized_tensors(PARAMS, AFFINE4)
    write_artifact(tmp_path, PARAMS | {"quantization": settings}, packed)
    with pytest.raises(ConfigError, match=f"{tmp_path}: quantization"):
        load_model(tmp_path)


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 40])
@pytest.mark.parametrize("settings", [AFFINE4, AFFINE6, MXFP4], ids=str)
def test_products_agree_on_both_sides_of_the_row_threshold(rows: int, settings: dict) -> None:
    random = np.random.default_rng(0)
    weight, x = (mx.array(random.normal(size=(n, 64)).astype(np.float32)) for n in (24, rows))
    parts = mx.quantize(weight, **settings)
    expected = x @ mx.dequantize(*parts, **settings).astype(mx.float32).T
    assert error(np.array(quantized_product(x, layer(parts, settings))), np.array(expected)) < 2e-6


def layer(parts: Any, settings: dict[str, Any]) -> Any:
    class Layer(dict):
        group_size, bits, mode = settings["group_size"], settings["bits"], settings.get("mode", "affine")

    return Layer(zip(("weight", "scales", "biases"), parts, strict=False))


@pytest.mark.parametrize("small", [0, layers.SMALL_MODEL], ids=["mapped", "unpacked"])
def test_scales_and_biases_of_different_types_are_both_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(layers, "SMALL_MODEL", small)
    packed, plain = quantized_tensors(PARAMS, AFFINE4)
    mixed = {
        name: value.astype(mx.bfloat16 if name.endswith("scales") else mx.float16)
        if name.endswith((".scales", ".biases"))
        else value
        for name, value in packed.items()
    }
    model = load_model(write_artifact(tmp_path, PARAMS | {"quantization": AFFINE4}, mixed))
    ours, expected = answers(model), answers(build(PARAMS, plain))
    assert error(ours["many"], expected["many"]) < 0.1  # rounding, where the wrong type gives noise
