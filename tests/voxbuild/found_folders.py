"""Checkpoints as people have them, small and random, in several layouts."""

import json
import shutil

from small_sources import ROOT, header_of, params_of, write_checkpoint

from voxrun.checkpoint.dialects import MISTRAL, TRANSFORMERS
from voxrun.checkpoint.tensors import Tensor

PARAMS = params_of()
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
CARD = """\
---
license: Apache-2.0
language: [en, no]
base_model: [not a repository, maker/base]
---
# A card
"""


def mistrals(folder, *leave_out):
    """Mistral's three files in a new folder, but for some."""
    folder.mkdir(parents=True)
    if "consolidated.safetensors" not in leave_out:
        write_checkpoint(folder / "consolidated.safetensors", header_of(PARAMS))
    if "params.json" not in leave_out:
        (folder / "params.json").write_text(json.dumps(PARAMS))
    if "tekken.json" not in leave_out:
        shutil.copy(ROOT / "tiny/checkpoint/tekken.json", folder)
    return folder


def sharded(folder, dialect=TRANSFORMERS, index="model.safetensors.index.json", shards=SHARDS):
    """A dialect's names in two shards with an index (None: without), and params.json."""
    mistrals(folder, "consolidated.safetensors")
    names = [(dialect.native(MISTRAL.canonical(t.name)), t.shape) for t in header_of(PARAMS)]
    tensors = [Tensor(name, "BF16", shape) for name, shape in names]
    half = len(tensors) // 2
    for name, part in zip(shards, (tensors[:half], tensors[half:]), strict=True):
        write_checkpoint(folder / name, part)
    if index:
        places = {t.name: shards[i >= half] for i, t in enumerate(tensors)}
        (folder / index).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def adapter(folder, base, card=""):
    """The two files of a LoRA adapter over `base`; its weights are of no use."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base, "r": 4}))
    write_checkpoint(folder / "adapter_model.safetensors", [Tensor("x.lora_A.weight", "F32", (4, 8))])
    if card:
        (folder / "README.md").write_text(card)
    return folder


def files_of(folder):
    """Name -> bytes of a folder's files, as a Hub takes them."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
