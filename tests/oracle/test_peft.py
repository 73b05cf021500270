"""LoRA adapters that PEFT saved over transformers' model: our merge has the bits of its own merge."""

import copy
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("peft")

import numpy as np
import torch
from committed import CHECKPOINT
from peft import LoraConfig, PeftModel, get_peft_model
from reference import TRANSFORMERS, Oracle

from voxbuild.tensors.adapter import Update, read_adapter
from voxbuild.tensors.low_rank import merge
from voxbuild.tensors.quantize import cast
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import TRANSFORMERS as THEIRS
from voxrun.checkpoint.layout import Layout

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings(
        "ignore:.*is_gradient_checkpointing:FutureWarning"
    ),  # PEFT's use of transformers
]

Tensors = dict[str, np.ndarray]
LATE = {"layers.2.self_attn.q_proj": 7, "language_model.layers.0.mlp.up_proj": 1, r".*\.linear_\d": 32}
KINDS: dict[str, dict[str, Any]] = {
    "rank 1": {"r": 1, "lora_alpha": 1},
    "rank 4": {"r": 4, "lora_alpha": 7},
    "rank 8": {"r": 8, "lora_alpha": 16},
    "rank 16": {"r": 16, "lora_alpha": 32},
    "rank 64": {"r": 64, "lora_alpha": 16},
    "rslora": {"r": 8, "lora_alpha": 12, "use_rslora": True},
    "patterns": {
        "r": 4,
        "lora_alpha": 8,
        "rank_pattern": LATE,
        "alpha_pattern": {r"layers\.[01]\..*proj": 3},
    },
    "queries": {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]},
    "decoder": {"r": 4, "lora_alpha": 8, "target_modules": r".*language_model.*\.(q_proj|down_proj)"},
}


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(CHECKPOINT)


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    return Layout(CHECKPOINT).config


def trained(model: torch.nn.Module, settings: dict[str, Any]) -> PeftModel:
    """A copy of the model with an adapter of random weights, as if it were trained."""
    settings = {"target_modules": "all-linear"} | settings
    model = get_peft_model(copy.deepcopy(model), LoraConfig(**settings))
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def weights_of(model: torch.nn.Module, config: ModelConfig) -> Tensors:
    """Canonical name -> the weights in our layout."""
    state = {TRANSFORMERS.canonical(name): tensor for name, tensor in model.state_dict().items()}
    return {name: THEIRS.inward(name, tensor.numpy(), config) for name, tensor in state.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_our_merge_has_the_bits_of_pefts(
    kind: str, dtype: torch.dtype, oracle: Oracle, config: ModelConfig, tmp_path: Path
) -> None:
    model = trained(oracle._model, KINDS[kind])
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(dtype)
    model.save_pretrained(tmp_path)
    base = weights_of(oracle._model, config)
    loaded = PeftModel.from_pretrained(copy.deepcopy(oracle._model), tmp_path)
    expected = weights_of(loaded.merge_and_unload(), config)
    updates = read_adapter(tmp_path, config).updates
    assert len(updates) >= 6
    for module, update in updates.items():
        name = f"{module}.weight"
        merged = merge(base[name], 0, update)
        assert np.array_equal(merged, expected[name]), module
        assert not np.array_equal(merged, base[name]), module
        theirs = torch.from_numpy(expected[name].copy()).bfloat16().view(torch.uint16).numpy()
        assert np.array_equal(cast(merged, "F32", "BF16"), theirs), module
    untouched = base.keys() - {f"{module}.weight" for module in updates}
    assert all(np.array_equal(base[name], expected[name]) for name in untouched)


@pytest.mark.parametrize("rank", [1, 4, 8, 16, 64, 192])
def test_large_matrices_too(rank: int) -> None:
    torch.manual_seed(rank)
    weight, a, b = (torch.randn(shape) * 0.05 for shape in ((3072, 9216), (rank, 9216), (3072, rank)))
    ours = merge(weight.numpy(), 0, Update(a.numpy(), b.numpy(), 2.0))
    assert np.array_equal(ours, (weight + (b @ a) * 2.0).numpy())
