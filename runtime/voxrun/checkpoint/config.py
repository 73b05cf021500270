"""The sizes of a model, read from its params.json or config.json, in any of the formats that are known."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from voxrun.errors import ConfigError
from voxrun.files.objects import read_member
from voxrun.messages import shown

from .config_formats import Sizes
from .layout import CONFIG_FILES, in_mistrals_layout

QUANTIZATION_LIMITS = {"bits": 16, "group_size": 1024}


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
        """Read a file's keys. Raises ConfigError naming the first one that is missing or odd."""
        sizes = Sizes(raw, origin)
        config = cls(
            audio=AudioConfig(**_section(sizes, "audio", AudioConfig)),
            encoder=TransformerConfig(**_section(sizes, "encoder", TransformerConfig)),
            decoder=TransformerConfig(**_section(sizes, "decoder", TransformerConfig)),
            vocab_size=sizes.number("decoder.vocab_size", int),
            downsample_factor=sizes.number("adapter.downsample_factor", int),
            ada_dim=sizes.number("decoder.ada_dim", int),
            quantization=raw.get("quantization") or raw.get("quantization_config") or {},
        )
        config._check(origin)
        return config

    @classmethod
    def from_folder(cls, folder: Path) -> "ModelConfig":
        """Read config.json, or the upstream's params.json. Raises ConfigError."""
        for name in CONFIG_FILES[-1:] if in_mistrals_layout(folder) else CONFIG_FILES:
            path = folder / name
            if path.is_file():
                return cls.from_dict(read_member(folder, name), str(path))
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
            if stack.head_dim % 2:
                raise ConfigError(f"{origin}: head_dim {stack.head_dim} is odd; rotary positions need pairs")
        if self.decoder.dim % 2:
            raise ConfigError(f"{origin}: the decoder's dim {self.decoder.dim} is odd; the delay needs pairs")
        if self.audio.window_size < 2 * self.audio.hop_length:
            raise ConfigError(f"{origin}: window_size {self.audio.window_size} is less than two hops")
        check_quantization(self.quantization, origin)


def check_quantization(said: Any, origin: str) -> None:
    """Plausible numbers; which go together is asked of MLX. Raises ConfigError."""
    if not isinstance(said, Mapping):
        raise ConfigError(f"{origin}: quantization is {shown(said)}, not an object")
    for entry in (said, *(own for own in said.values() if isinstance(own, Mapping))):
        for key, most in QUANTIZATION_LIMITS.items():
            value = entry.get(key, 1)
            if type(value) is not int or not 1 <= value <= most:
                raise ConfigError(
                    f"{origin}: quantization has {key} {shown(value)}, where 1 to {most} belong"
                )
        if not isinstance(entry.get("mode", ""), str):
            raise ConfigError(f"{origin}: quantization has the mode {shown(entry['mode'])}")


def _section(sizes: Sizes, section: str, kind: type) -> dict[str, Any]:
    return {f.name: sizes.number(f"{section}.{f.name}", f.type) for f in fields(kind)}
