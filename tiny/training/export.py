"""Stage `export`: the trained weights in upstream's layout.

A folder with consolidated.safetensors (BF16), params.json and tekken.json. The phone head stays
behind; the other parameters already have upstream's names, less a prefix.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tiny.training import tokenizer, train
from tiny.training.config import PHASES, ModelConfig
from tiny.training.errors import TrainingError
from tiny.training.workspace import Workspace, written_whole

PREFIX = "mm_streams_embeddings.embedding_module."
EMBEDDING = ("whisper_encoder.", "audio_language_projection.", "tok_embeddings.")
TRAINING_ONLY = "phone_head."
WEIGHTS = "consolidated.safetensors"


def output(work: Workspace) -> Path:
    return work.export / WEIGHTS


def run(work: Workspace) -> str:
    """Export the last phase; an existing checkpoint is replaced only if the user said so."""
    folder = work.export
    if output(work).exists() and not work.overwrite:
        raise TrainingError(f"{folder} already holds a checkpoint: --overwrite replaces it")
    weights = work.needs(train.weights_path(work, PHASES[-1].name), f"train-{PHASES[-1].name}")
    tensors = upstream_tensors(torch.load(weights))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tokenizer.output(work), folder / "tekken.json")
    params = json.dumps(upstream_params(ModelConfig()), indent=1)
    (folder / "params.json").write_text(params, encoding="utf-8")
    with written_whole(output(work)) as path:
        save_file(tensors, path)
    count = sum(tensor.numel() for tensor in tensors.values())
    return f"{len(tensors)} tensors, {count / 1e6:.2f} M parameters, in {folder}"


def upstream_name(name: str) -> str:
    """The name in upstream's file of a parameter of `TinyVoxtral`."""
    return PREFIX + name if name.startswith(EMBEDDING) else name


def upstream_tensors(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All tensors of upstream's file, BF16."""
    return {
        upstream_name(name): tensor.to(torch.bfloat16)
        for name, tensor in state.items()
        if not name.startswith(TRAINING_ONLY)
    }


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
