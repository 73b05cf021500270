"""The oracle: transformers' official implementation in float32, loaded from files in Mistral's layout."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import VoxtralRealtimeConfig, VoxtralRealtimeForConditionalGeneration
from transformers.models.voxtral_realtime.feature_extraction_voxtral_realtime import (
    VoxtralRealtimeFeatureExtractor,
)

from voxrun.checkpoint.dialects import MISTRAL, Dialect

RATE = 16000
SAMPLES_PER_POSITION = 1280
MEL_PER_POSITION = 8
LEFT = 32
SPARE = 11
BOS, EOS, PAD = 1, 2, 32
DEFAULT_DELAY = 6

_SHARED = (
    ("attention.q_proj", "self_attn.q_proj"),
    ("attention.k_proj", "self_attn.k_proj"),
    ("attention.v_proj", "self_attn.v_proj"),
    ("attention.o_proj", "self_attn.o_proj"),
    ("mlp.gate_proj", "mlp.gate_proj"),
    ("mlp.up_proj", "mlp.up_proj"),
    ("mlp.down_proj", "mlp.down_proj"),
)
_ENCODER_ONLY = (("attn_norm", "self_attn_layer_norm"), ("ffn_norm", "final_layer_norm"))
_DECODER_ONLY = (
    ("attn_norm", "input_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ada_norm.linear_in", "ada_rms_norm.linear1"),
    ("ada_norm.linear_out", "ada_rms_norm.linear2"),
)


def _layers(ours: str, theirs: str, leaves: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{ours}.layers.{{i}}.{a}", f"{theirs}.layers.{{i}}.{b}") for a, b in leaves)


TRANSFORMERS = Dialect(
    "transformers",
    rows=(
        ("encoder.conv1", "model.audio_tower.embedder.conv1"),
        ("encoder.conv2", "model.audio_tower.embedder.conv2"),
        *_layers("encoder", "model.audio_tower", _SHARED + _ENCODER_ONLY),
        ("encoder.norm", "model.audio_tower.norm"),
        ("adapter.w_in", "model.multi_modal_projector.linear_1"),
        ("adapter.w_out", "model.multi_modal_projector.linear_2"),
        ("language_model.embed_tokens", "model.language_model.embed_tokens"),
        ("language_model.embed_tokens", "lm_head"),
        *_layers("language_model", "model.language_model", _SHARED + _DECODER_ONLY),
        ("language_model.norm", "model.language_model.norm"),
    ),
)
"""The names of modules in memory (files on the Hub use a third spelling)."""


class Oracle:
    """What the official implementation computes for a recording."""

    def __init__(self, folder: Path) -> None:
        params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
        self._model = _load(params, load_file(folder / "consolidated.safetensors"))
        self._extract = VoxtralRealtimeFeatureExtractor()
        torch.set_num_threads(1)  # matrices this small: threads would only wait for each other

    @torch.no_grad()
    def greedy(self, samples: np.ndarray, n_delay: int = DEFAULT_DELAY) -> tuple[list[int], float]:
        """Samples [n] at 16 kHz -> the generated tokens, and the closest race between the best two logits.

        The race is relative to the largest logit, as errors are.
        """
        mel = self._mel(samples, n_delay)
        prompt = _prompt(n_delay)
        out = self._model.generate(
            input_ids=torch.tensor([prompt]),
            input_features=mel,
            num_delay_tokens=n_delay,
            max_new_tokens=mel.shape[-1] // MEL_PER_POSITION - len(prompt),
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        logits = torch.cat(out.logits)
        best_two = logits.topk(2).values
        margin = (best_two[:, 0] - best_two[:, 1]).min() / logits.abs().max()
        return out.sequences[0, len(prompt) :].tolist(), margin.item()

    @torch.no_grad()
    def stages(
        self, samples: np.ndarray, tokens: list[int], n_delay: int = DEFAULT_DELAY
    ) -> dict[str, np.ndarray]:
        """Samples [n] and the tokens after the prompt -> mel, convolutions, encoder, adapter, gains, logits.

        Each is [rows, width]. Row k of the logits is what the model would say where tokens[k] stands.
        """
        mel = self._mel(samples, n_delay)
        heard = self._model.get_audio_features(mel, return_dict=True)
        history = _prompt(n_delay) + tokens[:-1]
        logits = self._model(
            input_ids=torch.tensor([history]),
            input_features=mel[..., : len(history) * MEL_PER_POSITION],
            num_delay_tokens=n_delay,
        ).logits
        return {
            "mel": mel[0].T.numpy(),
            "stem": self._model.model.audio_tower.embedder(mel)[0].numpy(),
            "encoder": heard.last_hidden_state[0].numpy(),
            "adapter": heard.pooler_output[0].numpy(),
            "gains": self._gains(n_delay).numpy(),
            "logits": logits[0, len(history) - len(tokens) :].numpy(),
        }

    def _gains(self, n_delay: int) -> Tensor:
        """What each layer multiplies its normed input by, [layers, dim]."""
        delay = self._model.model.time_embedding(torch.tensor([float(n_delay)]))
        layers = self._model.model.language_model.layers
        return torch.stack([1 + layer.ada_rms_norm(delay) for layer in layers])

    def _mel(self, samples: np.ndarray, n_delay: int) -> Tensor:
        right = -len(samples) % SAMPLES_PER_POSITION + (n_delay + SPARE) * SAMPLES_PER_POSITION
        padded = np.pad(samples, (LEFT * SAMPLES_PER_POSITION, right))
        return self._extract(padded, sampling_rate=RATE, return_tensors="pt")["input_features"]


def _prompt(n_delay: int) -> list[int]:
    return [BOS] + [PAD] * (LEFT + n_delay)


def _load(params: dict[str, Any], tensors: dict[str, Tensor]) -> VoxtralRealtimeForConditionalGeneration:
    """Every parameter of the official model comes from the file, and every tensor of the file is used."""
    model = VoxtralRealtimeForConditionalGeneration(_config(params)).eval()
    for layer in model.model.language_model.layers:  # this width is fixed at 32 in transformers
        layer.ada_rms_norm.linear1 = _linear(params["dim"], params["ada_rms_norm_t_cond_dim"])
        layer.ada_rms_norm.linear2 = _linear(params["ada_rms_norm_t_cond_dim"], params["dim"])
    ours = {MISTRAL.canonical(name): tensor.float() for name, tensor in tensors.items()}
    names = {theirs: TRANSFORMERS.canonical(theirs) for theirs in model.state_dict()}
    unused = ours.keys() - set(names.values())
    if unused:
        raise ValueError(f"the oracle has no place for {sorted(map(str, unused))}")
    sizes = {"encoder": _encoder(params), "language_model": params, "adapter": params}
    model.load_state_dict(
        {
            theirs: _halves_from_pairs(name, ours[name], sizes[name.split(".")[0]])
            for theirs, name in names.items()
        }
    )
    return model


def _linear(columns: int, rows: int) -> torch.nn.Linear:
    return torch.nn.Linear(columns, rows, bias=False)


def _halves_from_pairs(name: str, tensor: Tensor, sizes: dict[str, int]) -> Tensor:
    """Rows of queries and keys from interleaved rotary order to transformers' two halves."""
    for projection, heads in (("attention.q_proj", "n_heads"), ("attention.k_proj", "n_kv_heads")):
        if projection in name:
            paired = tensor.view(sizes[heads], sizes["head_dim"] // 2, 2, *tensor.shape[1:])
            return paired.transpose(1, 2).reshape(tensor.shape)
    return tensor


def _encoder(params: dict[str, Any]) -> dict[str, Any]:
    return params["multimodal"]["whisper_model_args"]["encoder_args"]


def _config(params: dict[str, Any]) -> VoxtralRealtimeConfig:
    encoder = _encoder(params)
    audio = _stack(encoder) | {
        "model_type": "voxtral_realtime_encoder",
        "num_mel_bins": encoder["audio_encoding_args"]["num_mel_bins"],
    }
    text = _stack(params) | {
        "model_type": "voxtral_realtime_text",
        "num_key_value_heads": params["n_kv_heads"],
        "max_position_embeddings": params["model_max_length"],
        "tie_word_embeddings": True,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": 11,
    }
    return VoxtralRealtimeConfig(audio_config=audio, text_config=text)


def _stack(sizes: dict[str, Any]) -> dict[str, Any]:
    return {
        "vocab_size": sizes["vocab_size"],
        "hidden_size": sizes["dim"],
        "intermediate_size": sizes["hidden_dim"],
        "num_hidden_layers": sizes["n_layers"],
        "num_attention_heads": sizes["n_heads"],
        "head_dim": sizes["head_dim"],
        "sliding_window": sizes["sliding_window"],
        "rms_norm_eps": sizes["norm_eps"],
        "rope_parameters": {"rope_type": "default", "rope_theta": sizes["rope_theta"]},
    }
