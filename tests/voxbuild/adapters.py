"""LoRA adapters for tests, as PEFT's save_pretrained writes them over transformers' model."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.tensors.writer import CheckpointWriter
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import TRANSFORMERS
from voxrun.checkpoint.tensors import Tensor
from voxrun.model.voxtral import parameter_shapes

Pair = tuple[np.ndarray, np.ndarray]


def write_adapter(
    folder: Path,
    config: ModelConfig,
    modules: list[str],
    rank: int = 4,
    alpha: float = 8,
    seed: int = 0,
    *,
    size: float = 0.02,
    **keys: Any,
) -> dict[str, Pair]:
    """An adapter over these canonical modules, with random values of about `size`.

    `keys` go to its configuration. Returns A [rank, columns] and B [rows, rank] of each module, the rows in
    our layout.
    """
    rng, shapes, pairs, stored = np.random.default_rng(seed), parameter_shapes(config), {}, {}
    for module in modules:
        rows, columns = shapes[f"{module}.weight"]
        a = rng.normal(0, size, (rank, columns)).astype(np.float32)
        b = rng.normal(0, size, (rows, rank)).astype(np.float32)
        pairs[module] = a, b
        path = f"base_model.model.{peft_path(module)}"
        stored[f"{path}.lora_A.weight"] = a
        stored[f"{path}.lora_B.weight"] = TRANSFORMERS.outward(f"{module}.weight", b, config)
    targets = sorted({peft_path(module).rpartition(".")[2] for module in modules})
    write_config(folder, {"r": rank, "lora_alpha": alpha, "target_modules": targets} | keys)
    write_tensors(folder, stored)
    return pairs


def peft_path(module: str) -> str:
    """The path of a canonical module in transformers' model in memory."""
    return TRANSFORMERS.native_modules(module)[-1]


def write_config(folder: Path, keys: dict[str, Any]) -> None:
    """The adapter_config.json of a plain LoRA, with these keys."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {"peft_type": "LORA", "bias": "none", "fan_in_fan_out": False, "use_dora": False}
    (folder / "adapter_config.json").write_text(json.dumps(plain | keys), encoding="utf-8")


def write_tensors(folder: Path, tensors: dict[str, np.ndarray], dtype: str | None = None) -> None:
    """The adapter_model.safetensors; uint16 is written as bfloat16, if `dtype` says nothing else."""
    kinds = {"float32": "F32", "float16": "F16", "uint16": "BF16", "uint32": "U32"}
    entries = [Tensor(name, dtype or kinds[t.dtype.name], t.shape) for name, t in tensors.items()]
    writer = CheckpointWriter(folder / "adapter_model.safetensors", entries)
    for values in tensors.values():
        writer.write(np.ascontiguousarray(values).tobytes())
    writer.finish()
