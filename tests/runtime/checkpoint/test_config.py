"""Sizes are read, never assumed; the first key that is missing or odd is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from committed import CHECKPOINT
from small_models import small_params

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.layout import Layout
from voxrun.errors import ConfigError


def test_sizes_come_from_the_file() -> None:
    config = Layout(CHECKPOINT).config
    assert (config.encoder.dim, config.encoder.n_heads, config.encoder.sliding_window) == (192, 4, 750)
    assert (config.decoder.dim, config.decoder.n_kv_heads, config.decoder.sliding_window) == (256, 2, 250)
    assert (config.encoder.use_biases, config.decoder.use_biases) == (True, False)
    assert (config.vocab_size, config.ada_dim, config.downsample_factor) == (1024, 32, 4)
    assert (config.audio.samples_per_position, config.mel_per_position) == (1280, 8)
    assert config.quantization == {}


def test_config_json_goes_before_params_json(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps(small_params(dim=32)), encoding="utf-8")
    assert Layout(tmp_path).config.decoder.dim == 32
    (tmp_path / "config.json").write_text(json.dumps(small_params(dim=40)), encoding="utf-8")
    assert Layout(tmp_path).config.decoder.dim == 40


def test_mistrals_weights_are_read_with_params_json_though_a_config_json_is_there(tmp_path: Path) -> None:
    (tmp_path / "params.json").write_text(json.dumps(small_params(dim=32)), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "voxtral_realtime"}', encoding="utf-8")
    (tmp_path / "consolidated.safetensors").touch()
    assert Layout(tmp_path).config.decoder.dim == 32


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dim", None),
        ("dim", -1),
        ("dim", "64"),
        ("n_layers", 1.5),
        ("n_kv_heads", 0),
        ("n_kv_heads", 3),
        ("vocab_size", "many"),
        ("ada_rms_norm_t_cond_dim", None),
        ("tied_embeddings", False),
        ("quantization", 4),
    ],
)
def test_an_invalid_key_is_named(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"config.json: .*{key}"):
        ModelConfig.from_dict(small_params(**{key: value}), "config.json")


@pytest.mark.parametrize(("key", "value"), [("head_dim", None), ("sliding_window", 0)])
def test_an_invalid_key_of_the_encoder_is_named(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=key):
        ModelConfig.from_dict(small_params(encoder={key: value}))


def test_positions_must_fit_the_strides() -> None:
    params = small_params()
    params["multimodal"]["whisper_model_args"]["downsample_args"]["downsample_factor"] = 3
    with pytest.raises(ConfigError, match=r"frame_rate 12.5 does not fit .* 960 samples"):
        ModelConfig.from_dict(params)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_file_that_is_no_json_object_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config\.json: "):
        _ = Layout(tmp_path).config


def test_a_folder_without_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"neither config\.json nor params\.json is there"):
        _ = Layout(tmp_path).config
