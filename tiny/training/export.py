"""Stage `export`: the trained weights in upstream's layout; and the way back.

A folder with consolidated.safetensors (BF16), params.json and tekken.json. The phone head stays
behind; the other parameters already have upstream's names, less a prefix.
"""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tiny.training import tokenizer, train
from tiny.training.config import PHASES, ModelConfig
from tiny.training.errors import TrainingError
from tiny.training.model import TinyVoxtral
from tiny.training.upstream import model_config, upstream_name, upstream_params
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


def load_exported(folder: Path) -> TinyVoxtral:
    """The model with the weights in `folder`, float32, in training mode; its phone head is random.

    Raises `TrainingError` if the folder holds no checkpoint of this model.
    """
    for name in ("params.json", WEIGHTS, "tekken.json"):
        if not (folder / name).exists():
            raise TrainingError(f"{folder} is no checkpoint: it has no {name}")
    params = json.loads((folder / "params.json").read_text(encoding="utf-8"))
    model = TinyVoxtral(model_config(params))
    state = model.state_dict()
    tensors = load_file(folder / WEIGHTS)
    for name, value in state.items():
        if name.startswith(TRAINING_ONLY):
            continue
        tensor = tensors.get(upstream_name(name))
        if tensor is None or tensor.shape != value.shape:
            raise TrainingError(f"{folder} is no checkpoint of this model: {upstream_name(name)}")
        state[name] = tensor.float()
    model.load_state_dict(state)
    return model
