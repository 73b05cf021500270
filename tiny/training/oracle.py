"""The oracle: transformers' implementation, loaded with a checkpoint in upstream's layout."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mistral_common.tokens.tokenizers.tekken import Tekkenizer
from safetensors.torch import load_file
from torch import Tensor
from transformers import VoxtralRealtimeConfig, VoxtralRealtimeForConditionalGeneration
from transformers.models.voxtral_realtime.feature_extraction_voxtral_realtime import (
    VoxtralRealtimeFeatureExtractor,
)

from tiny.training.config import BEHIND, BOS, DELAY, FIRST_TEXT, LEFT_PAD, PAD, SAMPLES_PER_POSITION
from tiny.training.errors import TrainingError
from tiny.training.logmel import RATE
from tiny.training.rope import halves_from_interleaved

RENAMES = (  # upstream's name to transformers', each applied in turn
    (r"^mm_streams_embeddings\.embedding_module\.", ""),
    (r"^tok_embeddings\.", "model.language_model.embed_tokens."),
    (r"^audio_language_projection\.0\.", "model.multi_modal_projector.linear_1."),
    (r"^audio_language_projection\.2\.", "model.multi_modal_projector.linear_2."),
    (r"^whisper_encoder\.conv_layers\.0\.conv\.", "model.audio_tower.embedder.conv1."),
    (r"^whisper_encoder\.conv_layers\.1\.conv\.", "model.audio_tower.embedder.conv2."),
    (r"^whisper_encoder\.transformer\.", "model.audio_tower."),
    (r"^(layers|norm)\.", r"model.language_model.\1."),
    (r"(audio_tower.*)\.attention_norm\.", r"\1.self_attn_layer_norm."),
    (r"(audio_tower.*)\.ffn_norm\.", r"\1.final_layer_norm."),
    (r"\.attention_norm\.", ".input_layernorm."),
    (r"\.ffn_norm\.", ".post_attention_layernorm."),
    (r"\.ada_rms_norm_t_cond\.0\.", ".ada_rms_norm.linear1."),
    (r"\.ada_rms_norm_t_cond\.2\.", ".ada_rms_norm.linear2."),
    (r"\.attention\.w([qkvo])\.", r".self_attn.\1_proj."),
    (r"\.feed_forward\.w1\.", ".mlp.gate_proj."),
    (r"\.feed_forward\.w2\.", ".mlp.down_proj."),
    (r"\.feed_forward\.w3\.", ".mlp.up_proj."),
)

Transcriber = Callable[[np.ndarray], str]  # float32 samples [n] at 16 kHz to text


def load_transcriber(folder: Path, delay: int = DELAY) -> Transcriber:
    """Greedy decoding in float32 of the checkpoint in `folder` at a delay, one clip at a time."""
    model = load_model(folder)
    tekken = Tekkenizer.from_file(str(folder / "tekken.json"))
    extract = VoxtralRealtimeFeatureExtractor()
    prompt = [BOS] + [PAD] * (LEFT_PAD + delay)

    @torch.no_grad()
    def transcribe(samples: np.ndarray) -> str:
        behind = -len(samples) % SAMPLES_PER_POSITION + (BEHIND + delay) * SAMPLES_PER_POSITION
        padded = np.pad(samples, (LEFT_PAD * SAMPLES_PER_POSITION, behind))
        mel = extract(padded, sampling_rate=RATE, return_tensors="pt")["input_features"]
        ids = model.generate(
            input_ids=torch.tensor([prompt]),
            input_features=mel,
            num_delay_tokens=delay,
            max_new_tokens=len(padded) // SAMPLES_PER_POSITION - len(prompt),
            do_sample=False,
        )
        return tekken.decode([token for token in ids[0].tolist() if token >= FIRST_TEXT]).strip()

    return transcribe


def load_model(folder: Path) -> VoxtralRealtimeForConditionalGeneration:
    """The model of transformers with the weights in `folder`, float32."""
    for name in ("params.json", "consolidated.safetensors", "tekken.json"):
        if not (folder / name).exists():
            raise TrainingError(f"{folder} is no checkpoint: it has no {name}")
    params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
    encoder = params["multimodal"]["whisper_model_args"]["encoder_args"]
    model = VoxtralRealtimeForConditionalGeneration(make_config(params, encoder)).eval()
    tensors = {}
    for name, tensor in load_file(folder / "consolidated.safetensors").items():
        sizes = encoder if "whisper_encoder" in name else params
        tensors[rename(name)] = with_halves(name, tensor.float(), sizes)
    tensors["lm_head.weight"] = tensors["model.language_model.embed_tokens.weight"]
    result = model.load_state_dict(tensors, strict=False)
    missing = [name for name in result.missing_keys if "inv_freq" not in name]
    if missing or result.unexpected_keys:
        raise TrainingError(
            f"{folder}: tensors missing {missing}, unknown {result.unexpected_keys}"
        )
    return model


def rename(name: str) -> str:
    """The name in transformers of a tensor of upstream's file."""
    for pattern, replacement in RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def with_halves(name: str, tensor: Tensor, sizes: dict[str, int]) -> Tensor:
    """The tensor with the rotary pairs of queries and keys in transformers' order."""
    heads = {"wq": sizes["n_heads"], "wk": sizes["n_kv_heads"]}.get(name.split(".")[-2])
    return tensor[halves_from_interleaved(heads, sizes["head_dim"])] if heads else tensor


def make_config(params: dict, encoder: dict) -> VoxtralRealtimeConfig:
    """The configuration of transformers for upstream's params.json."""
    rotary = {"rope_type": "default", "rope_theta": params["rope_theta"]}
    audio = {
        "model_type": "voxtral_realtime_encoder",
        "vocab_size": params["vocab_size"],
        "hidden_size": encoder["dim"],
        "intermediate_size": encoder["hidden_dim"],
        "num_hidden_layers": encoder["n_layers"],
        "num_attention_heads": encoder["n_heads"],
        "head_dim": encoder["head_dim"],
        "sliding_window": encoder["sliding_window"],
        "rope_parameters": rotary,
        "max_position_embeddings": 1500,
    }
    text = {
        "model_type": "voxtral_realtime_text",
        "vocab_size": params["vocab_size"],
        "hidden_size": params["dim"],
        "intermediate_size": params["hidden_dim"],
        "num_hidden_layers": params["n_layers"],
        "num_attention_heads": params["n_heads"],
        "num_key_value_heads": params["n_kv_heads"],
        "head_dim": params["head_dim"],
        "rms_norm_eps": params["norm_eps"],
        "rope_parameters": rotary,
        "sliding_window": params["sliding_window"],
        "tie_word_embeddings": True,
        "max_position_embeddings": params["model_max_length"],
        "bos_token_id": BOS,
        "eos_token_id": 2,
        "pad_token_id": 11,
    }
    return VoxtralRealtimeConfig(audio_config=audio, text_config=text)
