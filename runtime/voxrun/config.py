"""The sizes of a model, read from Mistral's params.json (or a config.json with the same keys)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .errors import ConfigError

CONFIG_FILES = ("config.json", "params.json")
MISTRAL_WEIGHTS = "consolidated.safetensors"
"""A folder with it is read in Mistral's layout: the upstream's repository has transformers' files too."""


@dataclass(frozen=True)
class AudioConfig:
    """The log-mel front end (contract step 3)."""

    sampling_rate: int
    frame_rate: float
    num_mel_bins: int
    hop_length: int
    window_size: int
    global_log_mel_max: float

    @property
    def samples_per_position(self) -> int:
        """Samples of one decoder position (80 ms upstream)."""
        return round(self.sampling_rate / self.frame_rate)


@dataclass(frozen=True)
class TransformerConfig:
    """One stack of pre-norm blocks; the encoder's and the decoder's differ in sizes and biases only."""

    dim: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    hidden_dim: int
    sliding_window: int
    rope_theta: float
    norm_eps: float
    use_biases: bool


@dataclass(frozen=True)
class ModelConfig:
    """Everything the network and its front end need to know."""

    audio: AudioConfig
    encoder: TransformerConfig
    decoder: TransformerConfig
    vocab_size: int
    downsample_factor: int
    ada_dim: int
    quantization: Mapping[str, Any]
    """`config.json`'s quantization: defaults, and entries per module path; empty if there is none."""

    @property
    def mel_per_position(self) -> int:
        """Mel frames of one decoder position (8 upstream)."""
        return self.audio.samples_per_position // self.audio.hop_length

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], origin: str = "config") -> "ModelConfig":
        """Read the keys of params.json. Raises ConfigError naming the first key that is missing or odd."""
        whisper = _get(raw, "multimodal.whisper_model_args", origin)
        encoder = _get(whisper, "encoder_args", origin)
        audio = _get(encoder, "audio_encoding_args", origin)
        if raw.get("tied_embeddings", True) is not True:
            raise ConfigError(f"{origin}: tied_embeddings is not true; this architecture ties the head")
        config = cls(
            audio=AudioConfig(**_numbers(AudioConfig, audio, origin)),
            encoder=TransformerConfig(**_numbers(TransformerConfig, encoder, origin)),
            decoder=TransformerConfig(**_numbers(TransformerConfig, raw, origin)),
            vocab_size=_number(raw, "vocab_size", int, origin),
            downsample_factor=_number(whisper, "downsample_args.downsample_factor", int, origin),
            ada_dim=_number(raw, "ada_rms_norm_t_cond_dim", int, origin),
            quantization=raw.get("quantization") or {},
        )
        if not isinstance(config.quantization, Mapping):
            raise ConfigError(f"{origin}: quantization is {config.quantization!r}, not an object")
        config._check(origin)
        return config

    @classmethod
    def from_folder(cls, folder: Path) -> "ModelConfig":
        """Read config.json, or the upstream's params.json. Raises ConfigError."""
        for name in CONFIG_FILES[-1:] if (folder / MISTRAL_WEIGHTS).is_file() else CONFIG_FILES:
            path = folder / name
            if path.is_file():
                return cls.from_dict(read_json(path), str(path))
        raise ConfigError(f"{folder}: neither {' nor '.join(CONFIG_FILES)} is there")

    def _check(self, origin: str) -> None:
        expected = self.audio.hop_length * 2 * self.downsample_factor
        if self.audio.samples_per_position != expected:
            raise ConfigError(
                f"{origin}: frame_rate {self.audio.frame_rate} does not fit hop_length * 2 *"
                f" downsample_factor = {expected} samples a position"
            )
        for stack in (self.encoder, self.decoder):
            if stack.n_heads % stack.n_kv_heads:
                raise ConfigError(f"{origin}: n_heads {stack.n_heads} is no multiple of n_kv_heads")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file. Raises ConfigError if it cannot be read or is something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a JSON object was expected, not {type(value).__name__}")
    return value


def _numbers(section: type, raw: Mapping[str, Any], origin: str) -> dict[str, Any]:
    return {field.name: _number(raw, field.name, field.type, origin) for field in fields(section)}


def _number(raw: Mapping[str, Any], path: str, kind: Any, origin: str) -> Any:
    """A flag, or a positive number."""
    value = _get(raw, path, origin)
    if not isinstance(value, (int, float) if kind is float else kind) or (kind is not bool and value <= 0):
        raise ConfigError(f"{origin}: {path} is {value!r}, where a positive {kind.__name__} belongs")
    return value


def _get(raw: Mapping[str, Any], path: str, origin: str) -> Any:
    value: Any = raw
    for key in path.split("."):
        if not isinstance(value, Mapping) or value.get(key) is None:
            raise ConfigError(f"{origin}: the key {path} is missing")
        value = value[key]
    return value
