"""Where each format of configuration file keeps the sizes: one table a format, and its place in FORMATS.

A size is named SECTION.FIELD, after the classes of `config`: audio.hop_length, encoder.dim; `adapter` holds
downsample_factor, `decoder` also vocab_size and ada_dim. A path is the keys from the file's root, joined by
dots.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voxrun.errors import ConfigError
from voxrun.messages import shown


@dataclass(frozen=True)
class Format:
    """One layout of keys."""

    marker: str
    """A path that only this format has."""
    sections: Mapping[str, str]
    """The path of each of our sections; empty for the root."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Their names where they differ from ours: of a field, or of one section's field alone."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The official code's value of a size that the file does not give."""
    fixed: Mapping[str, Any] = field(default_factory=dict)
    """Paths that must have this value if they are present: nothing else is implemented."""

    def path(self, size: str) -> str:
        """Where the format keeps one of our sizes."""
        section, name = size.split(".")
        theirs = self.names.get(size, self.names.get(name, name))
        return f"{self.sections[section]}.{theirs}".removeprefix(".")


_WHISPER = "multimodal.whisper_model_args"

MISTRAL = Format(
    marker="multimodal",
    sections={
        "audio": f"{_WHISPER}.encoder_args.audio_encoding_args",
        "encoder": f"{_WHISPER}.encoder_args",
        "adapter": f"{_WHISPER}.downsample_args",
        "decoder": "",
    },
    names={"ada_dim": "ada_rms_norm_t_cond_dim"},
    fixed={
        "tied_embeddings": True,
        "causal": True,
        "ada_rms_norm_t_cond": True,
        f"{_WHISPER}.encoder_args.causal": True,
        f"{_WHISPER}.encoder_args.pos_embed": "rope",
        f"{_WHISPER}.encoder_args.ffn_type": "swiglu",
        f"{_WHISPER}.encoder_args.norm_type": "rms_norm",
    },
)

_UPSTREAM = {
    "audio.sampling_rate": 16000,
    "audio.hop_length": 160,
    "audio.window_size": 400,
    "audio.global_log_mel_max": 1.5,
    "audio.frame_rate": 12.5,
    "encoder.use_biases": True,
    "decoder.use_biases": False,
}
"""Defaults of both mlx-audio and transformers."""

# The defaults are those of its dataclasses, except for the sizes of matrices, which are never assumed.
MLX_AUDIO = Format(
    marker="encoder_args.audio_encoding_args",
    sections={
        "audio": "encoder_args.audio_encoding_args",
        "encoder": "encoder_args",
        "adapter": "encoder_args",
        "decoder": "decoder",
    },
    names={"ada_dim": "ada_rms_norm_t_cond_dim"},
    defaults={
        **_UPSTREAM,
        "audio.num_mel_bins": 128,
        "encoder.sliding_window": 750,
        "encoder.rope_theta": 1e6,
        "encoder.norm_eps": 1e-5,
        "adapter.downsample_factor": 4,
        "decoder.sliding_window": 8192,
        "decoder.rope_theta": 1e6,
        "decoder.norm_eps": 1e-5,
    },
    fixed={
        "encoder_args.causal": True,
        "decoder.tied_embeddings": True,
        "decoder.ada_rms_norm_t_cond": True,
    },
)

# mlx-audio also accepts the front end's sizes at the root.
MLX_AUDIO_APART = replace(
    MLX_AUDIO, marker="encoder_args", sections={**MLX_AUDIO.sections, "audio": "audio_encoding_args"}
)

TRANSFORMERS = Format(
    marker="text_config",
    sections={"audio": "audio_config", "encoder": "audio_config", "adapter": "", "decoder": "text_config"},
    names={
        "dim": "hidden_size",
        "n_layers": "num_hidden_layers",
        "n_heads": "num_attention_heads",
        "n_kv_heads": "num_key_value_heads",
        "encoder.n_kv_heads": "num_attention_heads",  # every head has its own keys
        "hidden_dim": "intermediate_size",
        "rope_theta": "rope_parameters.rope_theta",
        "norm_eps": "rms_norm_eps",
    },
    # Not in config.json: sizes of its feature extractor, and those fixed in its code.
    defaults=_UPSTREAM | {"decoder.ada_dim": 32},
    fixed={
        "tie_word_embeddings": True,
        "audio_length_per_tok": 8,
        "projector_hidden_act": "gelu",
        "audio_config.activation_function": "gelu",
        "audio_config.hidden_act": "silu",
        "audio_config.rope_parameters.rope_type": "default",
        "text_config.hidden_act": "silu",
        "text_config.rope_parameters.rope_type": "default",
    },
)

LIMITS: Mapping[str, tuple[float, float]] = {
    "sampling_rate": (1000, 384_000),
    "frame_rate": (0.1, 1000),
    "num_mel_bins": (1, 1024),
    "hop_length": (1, 16_384),
    "window_size": (2, 32_768),
    "global_log_mel_max": (0, 100),
    "dim": (1, 2**16),
    "n_layers": (1, 512),
    "n_heads": (1, 1024),
    "n_kv_heads": (1, 1024),
    "head_dim": (1, 1024),
    "hidden_dim": (1, 2**18),
    "sliding_window": (1, 2**18),
    "rope_theta": (1, 1e12),
    "norm_eps": (1e-12, 0.1),
    "vocab_size": (1, 2**21),
    "downsample_factor": (1, 64),
    "ada_dim": (1, 2**16),
}
"""The smallest and largest plausible value of each size; the largest are ten times the upstream's and more.
Within these limits, sizes are checked against the tensors in the file before memory is allocated for them."""

FORMATS = (MISTRAL, MLX_AUDIO, MLX_AUDIO_APART, TRANSFORMERS)
"""In the order in which they are looked for: a file may have the keys of several."""


def format_of(raw: Mapping[str, Any]) -> Format | None:
    """The format of a configuration file with these keys; None if it is unknown."""
    return next((f for f in FORMATS if _at(raw, f.marker) is not None), None)


class Sizes:
    """The sizes in a configuration file of any known format."""

    def __init__(self, raw: Mapping[str, Any], origin: str) -> None:
        """Raises ConfigError if the format is unknown, or the file describes another architecture."""
        self._raw, self._origin = raw, origin
        self._format = format_of(raw) or self._unknown()
        for path, value in self._format.fixed.items():
            if (said := _at(raw, path)) is not None and said != value:
                raise ConfigError(f"{origin}: {path} is {shown(said)}; this architecture has {value!r}")

    def number(self, size: str, kind: Any) -> Any:
        """A flag, or a plausible number. Raises ConfigError if it is missing or implausible."""
        path = self._format.path(size)
        value = _at(self._raw, path)
        if value is None:
            value = self._format.defaults.get(size)
        if value is None:
            raise ConfigError(f"{self._origin}: the key {path} is missing")
        kinds = (int, float) if kind is float else (kind,)
        if type(value) not in kinds or (kind is not bool and not 0 < value < math.inf):
            raise ConfigError(
                f"{self._origin}: {path} is {shown(value)}, where a positive {kind.__name__} belongs"
            )
        low, high = LIMITS.get(size.split(".")[1], (0, math.inf))
        if not low <= value <= high:
            raise ConfigError(f"{self._origin}: {path} is {shown(value)}, where {low} to {high} is plausible")
        return value

    def _unknown(self) -> Format:
        markers = ", ".join(f.marker for f in FORMATS)
        raise ConfigError(f"{self._origin}: none of the keys {markers} is there, so the format is unknown")


def _at(raw: Mapping[str, Any], path: str) -> Any:
    """The value at a path, or None."""
    value: Any = raw
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
