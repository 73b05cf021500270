"""Checkpoints as people have them: the embedded model as fine-tunes and broken exports come, a folder each.

VARIANTS: name -> (what it is, function that writes the folder). A new one is a function with @variant.
"""

import itertools
import json
import shutil

import numpy as np
from adapters import write_adapter
from conversions import built, source_of
from small_sources import ROOT

from voxbuild.convert.views import write_view
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import LOADERS
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.tensors.quantize import cast, to_rows
from voxbuild.tensors.writer import header_bytes
from voxbuild.workspace import Workspace
from voxrun.checkpoint.layout import Layout
from voxrun.checkpoint.tensors import ITEM_SIZE, Tensor

TINY = ROOT / "tiny/checkpoint"
WEIGHTS = "consolidated.safetensors"
EMBEDDING = "mm_streams_embeddings.embedding_module.tok_embeddings.weight"
MATRIX = "layers.0.feed_forward.w1.weight"
VARIANTS = {}


def variant(about):
    """Register a function that writes a variant; the function's name, with dashes, is the variant's."""

    def register(write):
        def write_folder(folder):
            return write(folder) or folder

        VARIANTS[write.__name__.replace("_", "-")] = about, write_folder
        return write

    return register


def tiny():
    """The embedded model's tensors: name -> (dtype, shape, values as stored)."""
    with Checkpoint(TINY / WEIGHTS) as file:
        return {
            t.name: (t.dtype, t.shape, to_rows(bytes(file.read(t.start, t.nbytes)), t.dtype, t.shape))
            for t in file.tensors.values()
        }


def as_dtype(tensor, dtype):
    """A tensor in another dtype."""
    _, shape, values = tensor
    single = cast(values, "BF16", "F32")
    return dtype, shape, single.astype(np.float64) if dtype == "F64" else cast(single, "F32", dtype)


def from_floats(values, shape):
    """A BF16 tensor."""
    return "BF16", shape, cast(np.ascontiguousarray(values, np.float32).reshape(shape), "F32", "BF16")


def floats(tensor):
    """A BF16 tensor's values as float32, flat."""
    return cast(tensor[2], "BF16", "F32").reshape(-1).copy()


def write(folder, tensors=None, weights=WEIGHTS, files=("params.json", "tekken.json")):
    """A folder with these tensors in one file, and the embedded model's small files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        shutil.copy(TINY / name, folder)
    if tensors is not None:
        header = [Tensor(name, dtype, shape) for name, (dtype, shape, _) in tensors.items()]
        data = b"".join(values.tobytes() for _, _, values in tensors.values())
        (folder / weights).write_bytes(header_bytes(header) + data)
    return folder


def write_changed(folder, change):
    """A folder in which some values of one matrix are other ones."""
    tensors = tiny()
    values = floats(tensors[MATRIX])
    change(values)
    return write(folder, tensors | {MATRIX: from_floats(values, tensors[MATRIX][1])})


def edit_params(folder, **keys):
    """Change keys of params.json."""
    path = folder / "params.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


# dtypes


@variant("all weights in float32")
def f32(folder):
    write(folder, {name: as_dtype(t, "F32") for name, t in tiny().items()})


@variant("all weights in float16")
def f16(folder):
    write(folder, {name: as_dtype(t, "F16") for name, t in tiny().items()})


@variant("all weights in float64")
def f64(folder):
    write(folder, {name: as_dtype(t, "F64") for name, t in tiny().items()})


@variant("norms in float32, half of the others in float16")
def mixed(folder):
    tensors = tiny()
    dtypes = dict(zip(tensors, itertools.cycle(["BF16", "F16"]), strict=False))
    dtypes |= {name: "F32" for name in tensors if "norm" in name}
    write(folder, {name: as_dtype(t, dtypes[name]) for name, t in tensors.items()})


def _of_integers(folder, dtype):
    tensors = tiny()
    shape = tensors[MATRIX][1]
    values = np.ones((shape[0], shape[1] * ITEM_SIZE[dtype]), np.uint8)
    write(folder, tensors | {MATRIX: (dtype, shape, values)})


@variant("one matrix of 8-bit integers")
def u8(folder):
    _of_integers(folder, "U8")


@variant("one matrix of 32-bit integers")
def u32(folder):
    _of_integers(folder, "U32")


@variant("one matrix of 8-bit floats")
def fp8(folder):
    _of_integers(folder, "F8_E4M3")


@variant("8-bit floats with their scales")
def fp8_with_scales(folder):
    tensors = tiny()
    for name, (_, shape, _) in list(tensors.items()):
        if "feed_forward" in name and len(shape) == 2:
            tensors[name] = "F8_E4M3", shape, np.ones(shape, np.uint8)
            scale = name.replace(".weight", ".qscale_weight")
            tensors[scale] = "F32", (1,), np.ones(1, np.float32)
    write(folder, tensors)


# names


@variant("`model.` before every name")
def prefix_model(folder):
    write(folder, {f"model.{name}": t for name, t in tiny().items()})


@variant("`module.` before every name, from DataParallel")
def prefix_module(folder):
    write(folder, {f"module.{name}": t for name, t in tiny().items()})


@variant("`_orig_mod.` before every name, from torch.compile")
def prefix_orig_mod(folder):
    write(folder, {f"_orig_mod.{name}": t for name, t in tiny().items()})


@variant("`module.` before every other name")
def prefix_of_some(folder):
    write(folder, {"module." * (i % 2) + name: t for i, (name, t) in enumerate(tiny().items())})


@variant("an output head equal to the embedding")
def head_tied(folder):
    write(folder, tiny() | {"output.weight": tiny()[EMBEDDING]})


@variant("transformers' name for such a head")
def head_lm_head(folder):
    write(folder, tiny() | {"lm_head.weight": tiny()[EMBEDDING]})


@variant("an output head of 1.5 times the embedding")
def head_scaled(folder):
    embedding = tiny()[EMBEDDING]
    write(folder, tiny() | {"output.weight": from_floats(floats(embedding) * 1.5, embedding[1])})


@variant("the same under a prefixed name")
def head_scaled_prefixed(folder):
    embedding = tiny()[EMBEDDING]
    name = EMBEDDING.replace("tok_embeddings", "output")
    write(folder, tiny() | {name: from_floats(floats(embedding) * 1.5, embedding[1])})


@variant("an output head with the embedding's rows in reverse")
def head_permuted(folder):
    embedding = tiny()[EMBEDDING]
    reverse = floats(embedding).reshape(embedding[1])[::-1]
    write(folder, tiny() | {"output.weight": from_floats(reverse, embedding[1])})


@variant("the optimizer's state beside the weights")
def optimizer(folder):
    step = "I64", (), np.ones(1, np.int64)
    write(folder, tiny() | {"optimizer.exp_avg.0": as_dtype(tiny()[MATRIX], "F32"), "step": step})


@variant("a buffer of rotary frequencies")
def rotary(folder):
    buffer = "F32", (32,), np.ones(32, np.float32)
    write(folder, tiny() | {"layers.0.attention.rotary_emb.inv_freq": buffer})


@variant("another model's tensors")
def other_model(folder):
    write(folder, {f"bert.encoder.{i}.weight": t for i, t in enumerate(tiny().values())})


# values


@variant("a NaN")
def nan(folder):
    write_changed(folder, lambda values: values.__setitem__(123, np.nan))


@variant("an infinite weight")
def inf(folder):
    write_changed(folder, lambda values: values.__setitem__(77, np.inf))


@variant("1,024 zeros")
def zeros(folder):
    write_changed(folder, lambda values: values.__setitem__(slice(1024), 0))


@variant("1,024 subnormal weights")
def subnormal(folder):
    write_changed(folder, lambda values: values.__setitem__(slice(1024), 1e-39))


@variant("3e38 and -3e38 in one group")
def outlier(folder):
    write_changed(folder, lambda values: values.__setitem__(slice(5, 7), (3e38, -3e38)))


@variant("1,024 weights of about 3e-37")
def small(folder):
    few = np.random.default_rng(0).normal(0, 3e-37, 1024)
    write_changed(folder, lambda values: values.__setitem__(slice(1024), few))


@variant("float32 with a weight of 1e6")
def f32_large(folder):
    tensors = {name: as_dtype(t, "F32") for name, t in tiny().items()}
    tensors[MATRIX][2].reshape(-1)[5] = 1e6
    write(folder, tensors)


@variant("the rows of some matrices shuffled")
def shuffled(folder):
    rng, tensors = np.random.default_rng(1), tiny()
    for name, tensor in tensors.items():
        if name.endswith("attention.wo.weight") or "feed_forward.w2" in name:
            values = floats(tensor)
            rng.shuffle(values)
            tensors[name] = from_floats(values, tensor[1])
    write(folder, tensors)


# files


@variant("two shards with Mistral's names and an index")
def shards(folder):
    write(folder)
    tensors = list(tiny().items())
    half, places = len(tensors) // 2, {}
    for number, part in enumerate((tensors[:half], tensors[half:]), 1):
        name = f"consolidated-{number:05d}-of-00002.safetensors"
        write(folder, dict(part), name)
        places |= {tensor: name for tensor, _ in part}
    index = {"metadata": {}, "weight_map": places}
    (folder / "consolidated.safetensors.index.json").write_text(json.dumps(index))


@variant("two shards, one of which is missing")
def shard_missing(folder):
    shards(folder)
    (folder / "consolidated-00002-of-00002.safetensors").unlink()


@variant("every file a link to another folder")
def links(folder):
    folder.mkdir(parents=True)
    for name in (WEIGHTS, "params.json", "tekken.json"):
        (folder / name).symlink_to(TINY / name)


@variant("a folder's name with a space and symbols")
def folder_name(folder):
    return write(folder.with_name("with space ünïcode ☃"), tiny())


@variant("weights in a file of another name")
def file_name(folder):
    write(folder, tiny(), "checkpoint-1200.safetensors")


@variant("no vocabulary")
def no_tokenizer(folder):
    write(folder, tiny(), files=("params.json",))


@variant("no configuration")
def no_configuration(folder):
    write(folder, tiny(), files=("tekken.json",))


@variant("no weights")
def no_weights(folder):
    write(folder)


@variant("one row more in the embedding than in params.json")
def resized(folder):
    embedding = tiny()[EMBEDDING]
    rows, columns = embedding[1]
    values = np.concatenate([floats(embedding), np.zeros(columns, np.float32)])
    write(folder, tiny() | {EMBEDDING: from_floats(values, (rows + 1, columns))})


@variant("torch.save's file under the name of safetensors")
def pickled(folder):
    write(folder)
    (folder / WEIGHTS).write_bytes(b"PK\3\4" + bytes(64))


@variant("only pytorch_model.bin")
def only_pickled(folder):
    write(folder)
    (folder / "pytorch_model.bin").write_bytes(b"PK\3\4" + bytes(64))


@variant("a pointer of git-lfs instead of the weights")
def lfs_pointer(folder):
    write(folder)
    oid = "ccb1348a75e80e7e3288c51c59b9031a1c1ee8a7e89f785f2fa01fabbeb51ec3"
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize 8129944\n"
    (folder / WEIGHTS).write_text(pointer)


@variant("1,000 bytes missing at the end")
def truncated(folder):
    write(folder, tiny())
    path = folder / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


@variant("params.json says that the head is not tied")
def untied(folder):
    write(folder, tiny())
    edit_params(folder, tied_embeddings=False)


@variant("params.json of another size")
def other_sizes(folder):
    write(folder, tiny())
    edit_params(folder, hidden_dim=400)


# dialects


def _artifact(folder, recipe):
    """The embedded model converted by a recipe: voxmlx's layout."""
    work, book = Workspace(folder.with_name(f"{folder.name} project")), read_book(ROOT / "recipes")
    work.root.mkdir()
    (work.root / "model_cards").symlink_to(ROOT / "model_cards")
    return built(work, book, source_of(TINY), recipe)


@variant("voxmlx's files")
def voxmlx(folder):
    return _artifact(folder, "bf16")


@variant("mlx-audio's files")
def mlx_audio(folder):
    return _view(folder, "mlx-audio")


@variant("transformers' save_pretrained")
def transformers(folder):
    return _view(folder, "transformers")


def _view(folder, loader):
    folder.mkdir(parents=True)
    write_view(LOADERS[loader], _artifact(folder, "bf16"), folder, lambda done: None)


@variant("a quantized artifact")
def quantized(folder):
    return _artifact(folder, "4bit")


# adapters


def _adapter(folder, modules=("language_model.layers.0.attention.q_proj",), **keys):
    config = Layout(TINY).config
    base = {"base_model_name_or_path": str(TINY)}
    write_adapter(folder, config, list(modules), **base | keys)


@variant("a LoRA adapter by PEFT, which names its model")
def lora(folder):
    _adapter(folder)


@variant("a LoRA adapter that does not name its model")
def lora_without_model(folder):
    _adapter(folder, base_model_name_or_path=None)


@variant("a DoRA adapter")
def dora(folder):
    _adapter(folder, use_dora=True)


@variant("a LoRA adapter with a layer that the model does not have")
def lora_of_another_model(folder):
    _adapter(folder)
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes().replace(b"layers.0.self_attn", b"layers.9.self_attn"))


@variant("a LoRA adapter with a NaN")
def lora_nan(folder):
    _adapter(folder)
    path = folder / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-4] + np.float32(np.nan).tobytes())
