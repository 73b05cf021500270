"""Sources for tests: the upstream's header at its full size, and random checkpoints of any size."""

import copy
import importlib.util
import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np

from voxbuild.convert.shards import convert
from voxbuild.folders import Journal
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.writer import CheckpointWriter
from voxrun.checkpoint.tensors import Tensor
from voxrun.device import mx

ROOT = Path(__file__).resolve().parents[2]
UPSTREAM = ROOT / "tests/data/upstream"
UPSTREAM_PARAMS = json.loads((UPSTREAM / "params.json").read_text())

_spec = importlib.util.spec_from_file_location("make_header", UPSTREAM / "make_header.py")
make_header = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make_header)


def params_of(dim=128, hidden=192, layers=2, heads=4, vocabulary=160, encoder_dim=64):
    """params.json of a model of the upstream's structure and these sizes; one encoder layer less."""
    params = copy.deepcopy(UPSTREAM_PARAMS)
    sizes = {"n_layers": layers, "head_dim": 32, "hidden_dim": hidden, "n_heads": heads}
    params |= sizes | {"dim": dim, "n_kv_heads": heads // 2, "vocab_size": vocabulary}
    encoder = params["multimodal"]["whisper_model_args"]["encoder_args"]
    encoder |= sizes | {"dim": encoder_dim, "n_kv_heads": heads, "n_layers": max(1, layers - 1)}
    return params


def header_of(params, dtype="BF16"):
    """The tensors of a checkpoint with these params, in the upstream's spelling."""
    return [Tensor(name, dtype, tuple(shape)) for name, shape in sorted(make_header.header(params))]


def upstream_header():
    """The upstream's 711 tensors."""
    stored = json.loads((UPSTREAM / "header.json").read_text())
    return [Tensor(name, "BF16", tuple(shape)) for name, shape in stored.items()]


def random_array(tensor):
    """A tensor's values, a function of its name, in its dtype."""
    seed = int.from_bytes(tensor.name.encode(), "big") % 2**32
    values = mx.array(np.random.default_rng(seed).normal(0, 0.05, tensor.shape).astype(np.float32))
    return values.astype({"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}[tensor.dtype])


def raw(array):
    """An array's bytes in a file."""
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array).tobytes()


def write_checkpoint(path, tensors, arrays=None):
    """Write a checkpoint with random values, some of them replaced by `arrays`; return all by name."""
    arrays = {t.name: random_array(t) for t in tensors} | (arrays or {})
    writer = CheckpointWriter(path, tensors)
    for tensor in tensors:
        writer.write(raw(arrays[tensor.name]))
    writer.finish()
    return arrays


def unusable_model(folder):
    """The embedded model with finite weights in it that give no finite results; return its folder."""
    shutil.copytree(ROOT / "tiny/checkpoint", folder)
    path = folder / "consolidated.safetensors"
    with Checkpoint(path) as checkpoint:
        start = checkpoint.tensors["layers.0.feed_forward.w1.weight"].start
    with path.open("r+b") as file:
        file.seek(start)
        file.write(raw(mx.array([3e38, -3e38] * 999).astype(mx.bfloat16)))
    return folder


def convert_at_once(plan, checkpoint, folder):
    """Convert into a new folder, without hashing the source."""
    journal = Journal(folder, "at once")
    with closing(OnePass(checkpoint, hashing=False)) as source:
        hashes = convert(plan, source, journal, lambda done: None)
    journal.forget()
    return hashes
