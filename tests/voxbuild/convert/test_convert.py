"""Conversion gives mx.quantize's bytes for any chunk size, in bounded memory, and refuses bad weights."""

import errno
import json
import struct
from contextlib import closing

import numpy as np
import pytest
from small_sources import header_of, params_of, raw, write_checkpoint

from voxbuild.convert import pieces
from voxbuild.convert import shards as module
from voxbuild.convert.shards import convert
from voxbuild.errors import CheckpointError, ConvertError
from voxbuild.folders import Journal
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.recipe import Shards
from voxbuild.tensors import checkpoint
from voxbuild.tensors.checkpoint import Checkpoint, OnePass
from voxbuild.tensors.quantize import quantize_rows
from voxbuild.tensors.search import search_rows
from voxbuild.tensors.writer import CheckpointWriter
from voxrun.device import mx
from voxrun.files.hashes import sha256_of

PARAMS = params_of()
HEADER = header_of(PARAMS)
STEM = "mm_streams_embeddings.embedding_module.whisper_encoder.conv_layers.0.conv.weight"
QUERY = "layers.0.attention.wq.weight"


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A random checkpoint's path and its values by name."""
    path = tmp_path_factory.mktemp("source") / "consolidated.safetensors"
    return path, write_checkpoint(path, HEADER)


def is_searched(recipe):
    return recipe.quantize is not None and recipe.quantize.search != "none"


def moments_of(plan):
    """Some for each matrix, a function of its name."""
    matrices = [t for t in plan.tensors if len(t.shape) == 2]
    seeds = {t.module: int.from_bytes(t.module.encode(), "big") % 2**32 for t in matrices}
    return {
        t.module: np.random.default_rng(seeds[t.module]).exponential(1, t.shape[1]).astype(np.float32)
        for t in matrices
    }


def converted(book, name, path, folder, params=PARAMS, **changes):
    """Convert the checkpoint at `path` by a recipe; return its plan and the files' hashes."""
    header = header_of(params)
    plan = make_plan(book.recipe(name).model_copy(update=changes), header, params)
    folder.mkdir(parents=True, exist_ok=True)
    done = []
    with Checkpoint(path) as checkpoint, closing(OnePass(checkpoint, hashing=True)) as stream:
        hashes = convert(plan, stream, Journal(folder, name), done.append, {"diagonal": moments_of(plan).get})
        assert stream.sha256() == sha256_of(path)
    assert sum(done) == sum(t.nbytes for t in header)
    return plan, hashes


@pytest.mark.slow
def test_every_variant_holds_the_bytes_of_mlx(book, source, tmp_path):
    path, arrays = source
    dtypes = {"BF16": mx.bfloat16, "F16": mx.float16}
    for name in [name for name, recipe in book.recipes.items() if not is_searched(recipe)]:
        plan, _ = converted(book, name, path, tmp_path / name)
        written = mx.load(str(tmp_path / name / "model.safetensors"))
        assert written.keys() == {o.name for t in plan.tensors for o in t.outputs}
        for tensor in plan.tensors:
            value = arrays[tensor.source]
            value = (value.swapaxes(1, 2) if tensor.transpose else value).astype(dtypes[tensor.dtype])
            how, parts = tensor.quantization, [value]
            if how:
                parts = mx.quantize(value, how.group_size, how.bits, how.mode, stream=mx.cpu)
            for output, part in zip(tensor.outputs, parts, strict=True):
                assert written[output.name].shape == output.shape
                assert raw(written[output.name]) == raw(part), (name, output.name)


@pytest.mark.parametrize("search", ["mse", "activation"])
def test_a_searched_variant_holds_the_searchs_result(book, source, tmp_path, search):
    path, arrays = source
    quantize = book.recipe("4bit").quantize.model_copy(update={"search": search})
    plan, _ = converted(book, "4bit", path, tmp_path, quantize=quantize)
    written, moments = mx.load(str(tmp_path / "model.safetensors")), moments_of(plan)
    for tensor in plan.tensors:
        if how := tensor.quantization:
            rows = np.array(arrays[tensor.source].view(mx.uint16))
            weights = moments[tensor.module] if search == "activation" else None
            for leaf, part in search_rows(rows, "BF16", how, weights).items():
                assert raw(written[f"{tensor.module}.{leaf}"]) == part.tobytes(), (tensor.name, leaf)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["4bit", "4bit-search", "nvfp4", "mixed-4-6", "fp16"])
def test_the_bytes_do_not_depend_on_the_chunk_size(book, source, tmp_path, monkeypatch, name):
    _, expected = converted(book, name, source[0], tmp_path / "whole")
    for size in (1, 4096):
        monkeypatch.setattr(checkpoint, "CHUNK_BYTES", size)
        assert converted(book, name, source[0], tmp_path / str(size))[1] == expected


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_the_bytes_do_not_depend_on_the_number_of_workers(book, source, tmp_path, monkeypatch, workers):
    _, expected = converted(book, "mixed-4-6", source[0], tmp_path / "as many as there are cores")
    monkeypatch.setattr(module, "cores", lambda: workers)
    monkeypatch.setattr(checkpoint, "CHUNK_BYTES", 4096)
    assert converted(book, "mixed-4-6", source[0], tmp_path / str(workers))[1] == expected


def test_converting_twice_gives_equal_bytes_and_correct_hashes(book, source, tmp_path):
    _, first = converted(book, "4bit", source[0], tmp_path / "a")
    _, second = converted(book, "4bit", source[0], tmp_path / "b")
    assert first == second == {name: sha256_of(tmp_path / "a" / name) for name in first}


def test_memory_is_bounded_by_the_chunk(book, source, tmp_path, monkeypatch):
    seen = []

    def spy(rows, *how):
        seen.append(rows.nbytes)
        return quantize_rows(rows, *how)

    monkeypatch.setattr(pieces, "quantize_rows", spy)
    monkeypatch.setattr(checkpoint, "CHUNK_BYTES", 4000)
    converted(book, "4bit", source[0], tmp_path)
    widest = max(t.row_bytes for t in HEADER if len(t.shape) == 2)
    assert max(seen) <= max(4000, widest)
    assert len(seen) > len(HEADER)


def test_shards_hold_their_tensors_and_the_index_finds_them(book, tmp_path):
    params = params_of(dim=256, hidden=1024, layers=2)
    write_checkpoint(tmp_path / "big.safetensors", header_of(params))
    small = Shards(max_size="1MB")
    plan, hashes = converted(book, "8bit", tmp_path / "big.safetensors", tmp_path, params, shards=small)
    assert len(hashes) > 1
    assert list(hashes) == list(plan.shards)
    for name, file in plan.index()["weight_map"].items():
        assert name in mx.load(str(tmp_path / file))
    for name in hashes:
        with Checkpoint(tmp_path / name) as shard:
            assert sum(t.nbytes for t in shard.tensors.values()) <= 10**6 or len(plan.shards[name]) == 1


def with_value(path, name, value, dtype=mx.bfloat16):
    shape = next(t.shape for t in HEADER if t.name == name)
    array = mx.zeros(shape, mx.float32)
    array[-1, -1] = value
    write_checkpoint(path, HEADER, {name: array.astype(dtype)})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", [QUERY, STEM])
def test_weights_that_are_not_finite_are_refused_by_name(book, tmp_path, name, value):
    with_value(tmp_path / "a.safetensors", name, value)
    with pytest.raises(ConvertError, match=rf"^{name}: a weight is not finite as BF16"):
        converted(book, "4bit", tmp_path / "a.safetensors", tmp_path / "out")


def test_weights_that_overflow_the_recipes_dtype_are_refused(book, tmp_path):
    with_value(tmp_path / "a.safetensors", QUERY, 1e6)
    converted(book, "bf16", tmp_path / "a.safetensors", tmp_path / "out")
    with pytest.raises(ConvertError, match=rf"^{QUERY}: a weight is not finite as F16"):
        converted(book, "fp16", tmp_path / "a.safetensors", tmp_path / "out")


@pytest.mark.parametrize(
    ("recipe", "value"),
    [("4bit", 3e38), ("4bit-mse", 3e38), ("mxfp4", 3.3e38), ("mxfp8", 3e-37), ("nvfp4", 1e5)],
)
def test_a_group_that_its_mode_cannot_store_is_named_by_its_place_in_the_tensor(
    book, tmp_path, monkeypatch, recipe, value
):
    monkeypatch.setattr("voxbuild.tensors.checkpoint.CHUNK_BYTES", 4096)  # several chunks of rows
    rows, columns = next(t.shape for t in HEADER if t.name == QUERY)
    array = np.zeros((rows, columns), np.float32)
    array[-2, -1], array[-2, -2] = value, -value
    write_checkpoint(tmp_path / "a.safetensors", HEADER, {QUERY: mx.array(array).astype(mx.bfloat16)})
    how = book.recipe(recipe).quantize
    place = f"row {rows - 2}, group {columns // how.group_size - 1} "
    with pytest.raises(ConvertError, match=rf"^{QUERY}: {place}.* do not fit {how.mode} .*; repair them"):
        converted(book, recipe, tmp_path / "a.safetensors", tmp_path / "out")


def test_a_source_truncated_during_conversion_is_reported(book, source, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_bytes(source[0].read_bytes())
    plan = make_plan(book.recipe("4bit"), HEADER, PARAMS)
    (tmp_path / "out").mkdir()
    with Checkpoint(path) as checkpoint:
        with path.open("r+b") as file:
            file.truncate(8 + struct.unpack("<Q", file.read(8))[0] + 1000)
        stream = OnePass(checkpoint, hashing=False)
        with pytest.raises(CheckpointError, match="truncated; it changed or is damaged"):
            convert(plan, stream, Journal(tmp_path / "out", "new"), lambda done: None)


def test_a_disk_error_is_raised(book, source, tmp_path, monkeypatch):
    def full(self, *data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CheckpointWriter, "write", full)
    with pytest.raises(OSError, match="No space left"):
        converted(book, "4bit", source[0], tmp_path)


def test_the_data_of_a_shard_starts_aligned(book, source, tmp_path):
    converted(book, "4bit", source[0], tmp_path)
    content = (tmp_path / "model.safetensors").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    assert (8 + length) % 64 == 0
    assert json.loads(content[8 : 8 + length])["__metadata__"] == {"format": "mlx"}
