"""Configurations as other tools write them: the same sizes, read from where each tool keeps them."""

import re
from dataclasses import fields, replace
from typing import Any

import pytest
from committed import CHECKPOINT
from dialect_files import config_for, saved
from small_models import small_params

from voxrun.checkpoint.config import AudioConfig, ModelConfig, TransformerConfig
from voxrun.checkpoint.config_formats import FORMATS
from voxrun.checkpoint.dialects import DIALECTS, MLX_AUDIO, TRANSFORMERS, Dialect
from voxrun.checkpoint.layout import Layout
from voxrun.errors import ConfigError

OTHERS = pytest.mark.parametrize("dialect", [MLX_AUDIO, TRANSFORMERS], ids=lambda dialect: dialect.name)
SIZES = {
    *(f"audio.{field.name}" for field in fields(AudioConfig)),
    *(f"{stack}.{field.name}" for stack in ("encoder", "decoder") for field in fields(TransformerConfig)),
    *("decoder.vocab_size", "decoder.ada_dim", "adapter.downsample_factor"),
}


def changed(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The same configuration but for one key; None takes it away."""
    *parents, last = path.split(".")
    inner = config
    for key in parents:
        inner = inner[key]
    inner[last] = value
    if value is None:
        del inner[last]
    return config


@OTHERS
def test_configs_saved_by_the_tools_have_tinys_sizes(dialect: Dialect) -> None:
    assert ModelConfig.from_dict(saved(dialect)) == Layout(CHECKPOINT).config


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_other_sizes_are_read_from_every_format(dialect: Dialect) -> None:
    encoder = {"sliding_window": 20, "rope_theta": 5e5, "norm_eps": 1e-6}
    params = small_params(encoder=encoder, ada_rms_norm_t_cond_dim=32, vocab_size=1500, sliding_window=90)
    assert ModelConfig.from_dict(config_for(dialect, params)) == ModelConfig.from_dict(params)


def test_a_file_may_carry_the_keys_of_all() -> None:
    merged = saved(TRANSFORMERS) | saved(MLX_AUDIO) | small_params()
    assert ModelConfig.from_dict(merged) == ModelConfig.from_dict(small_params())
    both = saved(TRANSFORMERS) | saved(MLX_AUDIO)
    assert ModelConfig.from_dict(both) == Layout(CHECKPOINT).config


def test_tables_name_only_existing_sizes() -> None:
    names = {size.split(".")[1] for size in SIZES}
    for table in FORMATS:
        assert table.defaults.keys() <= SIZES
        assert table.names.keys() <= SIZES | names
        assert all(table.path(size) for size in SIZES)


@OTHERS
def test_sizes_of_matrices_are_never_guessed(dialect: Dialect) -> None:
    table = next(table for table in FORMATS if table.marker.split(".")[0] in saved(dialect))
    stated_by_code = {"decoder.ada_dim"} if dialect is TRANSFORMERS else set()
    for size in {s for s in SIZES if re.search("dim|n_|vocab", s)} - {"audio.num_mel_bins"} - stated_by_code:
        path = table.path(size)
        with pytest.raises(ConfigError, match=f"^here: the key {re.escape(path)} is missing"):
            ModelConfig.from_dict(changed(saved(dialect), path, None), "here")


def test_missing_sizes_of_mlx_audio_have_its_defaults() -> None:
    config = saved(MLX_AUDIO)
    config["encoder_args"]["audio_encoding_args"] = {"chunk_length_s": None}
    for stack in ("encoder_args", "decoder"):
        for key in ("sliding_window", "rope_theta", "norm_eps", "use_biases"):
            del config[stack][key]
    del config["encoder_args"]["downsample_factor"]
    tiny = Layout(CHECKPOINT).config
    assert ModelConfig.from_dict(config) == replace(tiny, decoder=replace(tiny.decoder, sliding_window=8192))


def test_mlx_audios_front_end_may_stand_apart() -> None:
    config = saved(MLX_AUDIO)
    config["audio_encoding_args"] = config["encoder_args"].pop("audio_encoding_args")
    config["audio_encoding_args"]["global_log_mel_max"] = 2.5
    assert ModelConfig.from_dict(config).audio.global_log_mel_max == 2.5
    del config["audio_encoding_args"]
    assert ModelConfig.from_dict(config) == Layout(CHECKPOINT).config


@pytest.mark.parametrize(
    ("dialect", "path", "value"),
    [
        (MLX_AUDIO, "decoder.tied_embeddings", False),
        (MLX_AUDIO, "encoder_args.causal", False),
        (TRANSFORMERS, "tie_word_embeddings", False),
        (TRANSFORMERS, "audio_length_per_tok", 16),
        (TRANSFORMERS, "projector_hidden_act", "relu"),
        (TRANSFORMERS, "text_config.rope_parameters.rope_type", "yarn"),
        (DIALECTS[0], "multimodal.whisper_model_args.encoder_args.norm_type", "layer_norm"),
    ],
)
def test_another_architecture_is_refused_by_its_key(dialect: Dialect, path: str, value: Any) -> None:
    config = config_for(dialect, small_params())
    with pytest.raises(ConfigError, match=f"^here: {re.escape(path)} is {value!r}; this architecture has"):
        ModelConfig.from_dict(changed(config, path, value), "here")


@pytest.mark.parametrize("value", [True, float("nan"), float("inf"), "1e6", 0])
def test_an_invalid_number_is_named_with_its_path(value: Any) -> None:
    path = "audio_config.rope_parameters.rope_theta"
    with pytest.raises(ConfigError, match=f"^here: {path} is .*, where a positive float belongs"):
        ModelConfig.from_dict(changed(saved(TRANSFORMERS), path, value), "here")


def test_a_file_without_sizes_says_what_was_looked_for() -> None:
    with pytest.raises(ConfigError, match=r"^here: none of the keys multimodal, .*, text_config is there"):
        ModelConfig.from_dict({"model_type": "voxtral_realtime", "decoder": 3}, "here")


def test_rotary_positions_need_pairs() -> None:
    with pytest.raises(ConfigError, match="head_dim 25 is odd"):
        ModelConfig.from_dict(small_params(head_dim=25))


@pytest.mark.parametrize("key", ["quantization", "quantization_config"])
def test_quantization_has_two_keys(key: str) -> None:
    assert ModelConfig.from_dict(small_params() | {key: {"bits": 4}}).quantization == {"bits": 4}
