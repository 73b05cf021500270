"""The sizes of a model, from the keys of its params.json or config.json in any of the known formats."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from voxrun.errors import ConfigError

from .config_formats import Sizes
from .quantization import check_quantization


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
    """One stack of pre-norm blocks: the encoder's and the decoder's differ only in sizes and biases."""

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
    """All sizes of the network and its front end."""

    audio: AudioConfig
    encoder: TransformerConfig
    decoder: TransformerConfig
    vocab_size: int
    downsample_factor: int
    ada_dim: int
    quantization: Mapping[str, Any]
    """As config.json has it: default settings, and entries by module path; empty if nothing is quantized."""

    @property
    def mel_per_position(self) -> int:
        """Mel frames of one decoder position (8 upstream)."""
        return self.audio.samples_per_position // self.audio.hop_length

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], origin: str = "config") -> "ModelConfig":
        """Read a file's keys. Raises ConfigError naming the first one that is missing or implausible."""
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


def _section(sizes: Sizes, section: str, kind: type) -> dict[str, Any]:
    return {f.name: sizes.number(f"{section}.{f.name}", f.type) for f in fields(kind)}
