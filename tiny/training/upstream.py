"""Upstream's file layout: the names of its tensors and the content of its params.json."""

from dataclasses import fields
from typing import Any

from tiny.training.config import ModelConfig

PREFIX = "mm_streams_embeddings.embedding_module."
EMBEDDING = ("whisper_encoder.", "audio_language_projection.", "tok_embeddings.")


def upstream_name(name: str) -> str:
    """The name in upstream's file of a parameter of `TinyVoxtral`."""
    return PREFIX + name if name.startswith(EMBEDDING) else name


def upstream_params(c: ModelConfig) -> dict[str, Any]:
    """The content of params.json."""
    audio = {
        "sampling_rate": 16000,
        "frame_rate": 12.5,
        "num_mel_bins": c.mel_bins,
        "hop_length": 160,
        "window_size": 400,
        "chunk_length_s": None,
        "global_log_mel_max": 1.5,
        "transcription_format": "streaming",
    }
    encoder = {
        "audio_encoding_args": audio,
        "dim": c.encoder_dim,
        "n_layers": c.encoder_layers,
        "head_dim": c.encoder_head_dim,
        "hidden_dim": c.encoder_hidden_dim,
        "n_heads": c.encoder_heads,
        "vocab_size": c.vocab_size,
        "n_kv_heads": c.encoder_heads,
        "use_biases": True,
        "use_cache": False,
        "rope_theta": c.rope_theta,
        "causal": True,
        "norm_eps": c.norm_eps,
        "pos_embed": "rope",
        "max_source_positions": None,
        "ffn_type": "swiglu",
        "norm_type": "rms_norm",
        "sliding_window": c.encoder_window,
    }
    return {
        "dim": c.dim,
        "n_layers": c.n_layers,
        "head_dim": c.head_dim,
        "hidden_dim": c.hidden_dim,
        "n_heads": c.n_heads,
        "n_kv_heads": c.n_kv_heads,
        "use_biases": False,
        "causal": True,
        "rope_theta": c.rope_theta,
        "norm_eps": c.norm_eps,
        "vocab_size": c.vocab_size,
        "model_parallel": 1,
        "tied_embeddings": True,
        "sliding_window": c.sliding_window,
        "model_max_length": 131072,
        "multimodal": {
            "whisper_model_args": {
                "encoder_args": encoder,
                "downsample_args": {"downsample_factor": c.downsample_factor},
            }
        },
        "ada_rms_norm_t_cond": True,
        "ada_rms_norm_t_cond_dim": c.ada_rms_norm_t_cond_dim,
    }


def model_config(params: dict[str, Any]) -> ModelConfig:
    """The sizes that the content of a params.json gives; the way back of `upstream_params`."""
    named = {field.name for field in fields(ModelConfig)}
    sizes = {name: value for name, value in params.items() if name in named}
    encoder = params["multimodal"]["whisper_model_args"]["encoder_args"]
    downsampling = params["multimodal"]["whisper_model_args"]["downsample_args"]
    return ModelConfig(
        **sizes,
        mel_bins=encoder["audio_encoding_args"]["num_mel_bins"],
        encoder_dim=encoder["dim"],
        encoder_layers=encoder["n_layers"],
        encoder_heads=encoder["n_heads"],
        encoder_head_dim=encoder["head_dim"],
        encoder_hidden_dim=encoder["hidden_dim"],
        encoder_window=encoder["sliding_window"],
        downsample_factor=downsampling["downsample_factor"],
    )
