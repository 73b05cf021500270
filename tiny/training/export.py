"""Stage `export`: the trained weights in upstream's layout.

A folder with consolidated.safetensors (BF16), params.json and tekken.json. The phone head stays
behind; the other parameters already have upstream's names, less a prefix.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from tiny.training import tokenizer, train
from tiny.training.config import PHASES, ModelConfig
from tiny.training.upstream import upstream_name, upstream_params
from tiny.training.workspace import WEIGHTS, Workspace, written_whole

TRAINING_ONLY = "phone_head."


def output(work: Workspace) -> Path | None:
    """The weights' file; None if the stage is to run in any case."""
    return None if work.out or work.overwrite else work.export / WEIGHTS


def run(work: Workspace) -> str:
    """Export the last phase; an existing checkpoint is replaced only if the user said so."""
    work.needs_free_export()
    folder = work.export
    weights = work.needs(train.weights_path(work, PHASES[-1].name), f"train-{PHASES[-1].name}")
    tensors = upstream_tensors(torch.load(weights))
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tokenizer.output(work), folder / "tekken.json")
    params = json.dumps(upstream_params(ModelConfig()), indent=1)
    (folder / "params.json").write_text(params, encoding="utf-8")
    with written_whole(folder / WEIGHTS) as path:
        save_file(tensors, path)
    count = sum(tensor.numel() for tensor in tensors.values())
    return f"{len(tensors)} tensors, {count / 1e6:.2f} M parameters, in {folder}"


def upstream_tensors(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All tensors of upstream's file, BF16."""
    return {
        upstream_name(name): tensor.to(torch.bfloat16)
        for name, tensor in state.items()
        if not name.startswith(TRAINING_ONLY)
    }
