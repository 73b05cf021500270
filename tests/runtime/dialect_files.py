"""Folders as other tools write them: their names, their layout, their config.json."""

import copy
import json
from pathlib import Path
from typing import Any

from committed import CHECKPOINT, ROOT

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import MISTRAL, MLX_AUDIO, TRANSFORMERS, VOXMLX, Dialect
from voxrun.device import mx

DATA = ROOT / "tests" / "data" / "dialects"
"""names.json: tensors in four dialects, `{i}` for the layer. The others: what the tools saved for tiny."""


def names_of(dialect: Dialect) -> dict[str, str]:
    """The 711 tensors of the upstream: canonical name -> the dialect's."""
    layers = {"encoder": 32, "language_model": 26}
    column = "canonical" if dialect is VOXMLX else dialect.name
    return {
        row["canonical"].format(i=i): row[column].format(i=i)
        for row in json.loads((DATA / "names.json").read_text(encoding="utf-8"))
        for i in range(layers[row["canonical"].split(".")[0]] if "{i}" in row["canonical"] else 1)
    }


def config_for(dialect: Dialect, params: dict[str, Any]) -> dict[str, Any]:
    """The configuration with the sizes of params.json as this dialect's tool writes it."""
    whisper = params["multimodal"]["whisper_model_args"]
    encoder, factor = whisper["encoder_args"], whisper["downsample_args"]["downsample_factor"]
    if dialect is MLX_AUDIO:
        decoder = {key: value for key, value in params.items() if key != "multimodal"}
        return saved(dialect) | {"encoder_args": encoder | {"downsample_factor": factor}, "decoder": decoder}
    if dialect is TRANSFORMERS:
        config = saved(dialect) | {"downsample_factor": factor, "hidden_size": params["dim"]}
        config["audio_config"] |= _stack(encoder)
        config["text_config"] |= _stack(params) | {"num_key_value_heads": params["n_kv_heads"]}
        return config
    return copy.deepcopy(params)


def saved(dialect: Dialect) -> dict[str, Any]:
    """The config.json that the dialect's own tool saved for tiny."""
    content: dict[str, Any] = json.loads((DATA / f"{dialect.name}.json").read_text(encoding="utf-8"))
    return content


def write_folder(
    folder: Path,
    dialect: Dialect,
    params: dict[str, Any],
    tensors: dict[str, Any],
    quantization: dict[str, Any] | None = None,
) -> Path:
    """Canonical tensors as the dialect's tool would have written them, paths of the quantization too."""
    folder.mkdir(parents=True, exist_ok=True)
    config = config_for(dialect, params)
    if quantization:
        config["quantization"] = {native_path(dialect, path): said for path, said in quantization.items()}
    names = ("params.json", "consolidated") if dialect is MISTRAL else ("config.json", "model")
    (folder / names[0]).write_text(json.dumps(config), encoding="utf-8")
    sizes = ModelConfig.from_dict(params)
    theirs = {
        dialect.native(name): mx.contiguous(dialect.outward(name, mx.array(tensor), sizes))
        for name, tensor in tensors.items()
    }
    mx.save_safetensors(str(folder / f"{names[1]}.safetensors"), theirs)
    (folder / "tekken.json").write_bytes((CHECKPOINT / "tekken.json").read_bytes())
    return folder


def native_path(dialect: Dialect, path: str) -> str:
    """The dialect's name of a module; of anything else, such as group_size, the same."""
    known = VOXMLX.canonical(f"{path}.weight")
    return dialect.native(known).removesuffix(".weight") if known else path


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
