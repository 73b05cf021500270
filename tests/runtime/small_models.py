"""Random models of a few thousand weights and awkward sizes: heads * head_dim is never dim."""

import copy
import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from committed import CHECKPOINT

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import CONV_WEIGHT, MISTRAL
from voxrun.device import mx
from voxrun.model.load import assemble
from voxrun.model.voxtral import VoxtralRealtime, parameter_shapes

Tensors = dict[str, np.ndarray]


def small_params(*, encoder: dict[str, Any] | None = None, **decoder: Any) -> dict[str, Any]:
    """params.json of a small model; the arguments override sizes of the encoder and of the decoder."""
    params = copy.deepcopy(json.loads((CHECKPOINT / "params.json").read_text(encoding="utf-8")))
    params |= {"dim": 64, "n_layers": 2, "head_dim": 24, "hidden_dim": 96, "n_heads": 4, "n_kv_heads": 2}
    params |= {"ada_rms_norm_t_cond_dim": 8, "sliding_window": 8192} | decoder
    sizes = {"dim": 48, "n_layers": 2, "head_dim": 32, "hidden_dim": 80, "n_heads": 3, "n_kv_heads": 3}
    params["multimodal"]["whisper_model_args"]["encoder_args"] |= sizes | (encoder or {})
    return params


def random_tensors(config: ModelConfig, seed: int = 0) -> Tensors:
    """Float32 weights under canonical names, of a size that keeps activations near 1.

    Goldens depend on them: each is drawn for its name, from a generator whose stream is frozen.
    """
    tensors = {}
    for name, shape in parameter_shapes(config).items():
        values = np.random.RandomState(zlib.crc32(f"{seed} {name}".encode())).standard_normal(shape)
        if name.endswith("norm.weight"):
            values = 1 + 0.1 * values
        elif len(shape) == 1:
            values *= 0.1
        else:
            values /= np.sqrt(np.prod(shape[1:]))
        if "q_proj" in name or "k_proj" in name:
            values *= 1.4  # sharp attention: a key too many or too few must show
        tensors[name] = values.astype(np.float32)
    return tensors


def quantized_tensors(
    params: dict[str, Any], default: dict[str, Any], own: Mapping[str, dict[str, Any]] | None = None
) -> tuple[dict[str, mx.array], Tensors]:
    """Random tensors with every matrix quantized that divides by 32, and the same ones dequantized.

    `own` has the settings of single modules.
    """
    packed, plain = dict[str, mx.array](), Tensors()
    for name, values in random_tensors(ModelConfig.from_dict(params)).items():
        weight, path = mx.array(values), name.removesuffix(".weight")
        if values.ndim != 2 or values.shape[1] % 32:
            packed[name], plain[name] = weight, values
            continue
        chosen = (own or {}).get(path, default)
        parts = mx.quantize(weight, **chosen)
        leaves = zip(("weight", "scales", "biases"), parts, strict=False)
        packed |= {f"{path}.{leaf}": part for leaf, part in leaves}
        plain[name] = np.array(mx.dequantize(*parts, **chosen).astype(mx.float32))
    return packed, plain


def build(params: dict[str, Any], tensors: Tensors) -> VoxtralRealtime:
    """The model in memory."""
    arrays = {name: mx.array(values) for name, values in tensors.items()}
    return assemble(ModelConfig.from_dict(params), arrays, "a random model")


def small_model(**overrides: Any) -> tuple[VoxtralRealtime, Tensors]:
    """A random model with these sizes, and its tensors."""
    params = small_params(**overrides)
    tensors = random_tensors(ModelConfig.from_dict(params))
    return build(params, tensors), tensors


def write_artifact(folder: Path, params: dict[str, Any], tensors: dict[str, Any]) -> Path:
    """As voxbuild publishes it: config.json and canonical names."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(params), encoding="utf-8")
    _save(folder / "model.safetensors", tensors)
    _add_tokenizer(folder)
    return folder


def write_mistral(
    folder: Path, params: dict[str, Any], tensors: Tensors, dtype: mx.Dtype = mx.float32
) -> Path:
    """As Mistral publishes it: params.json, its own names, convolutions [out, in, k]."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.json").write_text(json.dumps(params), encoding="utf-8")
    theirs = {}
    for name, values in tensors.items():
        swapped = values.swapaxes(1, 2) if CONV_WEIGHT.fullmatch(name) else values
        theirs[mistral_name(name)] = mx.array(np.ascontiguousarray(swapped)).astype(dtype)
    _save(folder / "consolidated.safetensors", theirs)
    _add_tokenizer(folder)
    return folder


def mistral_name(name: str) -> str:
    """Mistral's name of a canonical tensor."""
    module, leaf = name.rsplit(".", 1)
    layer = re.search(r"\.(\d+)\.", module)
    template = module.replace(layer[0], ".{i}.") if layer else module
    theirs = dict(MISTRAL.rows)[template].format(i=layer[1] if layer else "")
    decoder = module.startswith("language_model.") and "embed_tokens" not in module
    return f"{'' if decoder else MISTRAL.prefixes[0]}{theirs}.{leaf}"


def _save(path: Path, tensors: dict[str, Any]) -> None:
    mx.save_safetensors(str(path), {name: mx.array(values) for name, values in tensors.items()})


def _add_tokenizer(folder: Path) -> None:
    (folder / "tekken.json").write_bytes((CHECKPOINT / "tekken.json").read_bytes())
