"""A source in any dialect, dtype and number of files gives the same artifact as the one file of Mistral."""

import json
import shutil
from contextlib import closing
from fractions import Fraction

import numpy as np
import pytest
from adapters import write_adapter
from conversions import built, source_of, stored_tensors, variant_of
from hypothesis import given
from hypothesis import strategies as st
from small_sources import ROOT, header_of, params_of, write_checkpoint

from voxbuild import stages
from voxbuild.convert.readable import is_unquantized, unquantized_folder
from voxbuild.convert.unquantized import write_unquantized
from voxbuild.convert.views import write_view
from voxbuild.errors import CheckpointError, PlanError
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import LOADERS
from voxbuild.tensors import checkpoint
from voxbuild.tensors.naming import naming_of
from voxbuild.tensors.quantize import cast, to_rows
from voxbuild.tensors.writer import CheckpointWriter
from voxbuild.workspace import Workspace
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.tensors import Tensor
from voxrun.device import mx

PARAMS = params_of()
HEADER = header_of(PARAMS)
QUERY = "language_model.layers.0.attention.q_proj"
EMBEDDING = "mm_streams_embeddings.embedding_module.tok_embeddings.weight"


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture
def work(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/model_cards").symlink_to(ROOT / "model_cards")
    return Workspace(tmp_path / "project")


def write_folder(folder, header=HEADER, arrays=None, name="consolidated.safetensors"):
    """A folder in Mistral's layout."""
    folder.mkdir(parents=True)
    write_checkpoint(folder / name, header, arrays)
    (folder / "params.json").write_text(json.dumps(PARAMS))
    shutil.copy(ROOT / "tiny/checkpoint/tekken.json", folder)
    return folder


def refused(work, book, folder, **keys):
    with pytest.raises((PlanError, CheckpointError)) as error:
        built(work, book, source_of(folder, **keys))
    return str(error.value)


@pytest.mark.parametrize("shard", ["100MB", "1MB"])
@pytest.mark.parametrize("dialect", ["mistral", *LOADERS])
def test_every_dialect_in_any_number_of_files_gives_the_same_tensors(tmp_path, work, book, dialect, shard):
    params = params_of(dim=256, hidden=512, layers=3)
    original = write_folder(tmp_path / "mistral", header_of(params))
    (original / "params.json").write_text(json.dumps(params))
    shards = {"shards": book.recipe("bf16").shards.model_copy(update={"max_size": shard})}
    expected = built(work, book, source_of(original), **shards)
    folder = original
    if dialect == "voxmlx":
        folder = expected
    elif dialect != "mistral":
        folder = tmp_path / dialect
        folder.mkdir()
        write_view(LOADERS[dialect], expected, folder, lambda done: None)
    other = source_of(folder).model_copy(update={"name": "other"})
    found = built(work, book, other)
    assert stored_tensors(found) == stored_tensors(expected)
    config, other = (json.loads((f / "config.json").read_text()) for f in (found, expected))
    assert naming_of(stored_tensors(folder)).dialect.name == dialect
    assert config["multimodal"]["whisper_model_args"]["encoder_args"]["sliding_window"] == 750
    assert config["dim"] == other["dim"]


def test_a_quantized_transformers_source_has_the_bytes_of_mistrals(tmp_path, work, book):
    original = write_folder(tmp_path / "mistral")
    plain = built(work, book, source_of(original))
    view = tmp_path / "view"
    view.mkdir()
    write_view(LOADERS["transformers"], plain, view, lambda done: None)
    four = stored_tensors(built(work, book, source_of(original), "4bit"))
    assert stored_tensors(built(work, book, source_of(view, name="other"), "4bit")) == four


MERGED = ("language_model.layers.0.attention.q_proj", "encoder.layers.0.attention.k_proj", "adapter.w_in")


@pytest.mark.parametrize("base", ["transformers", "voxmlx", "prefixed"])
def test_an_adapter_is_merged_alike_into_a_base_of_any_dialect(tmp_path, work, book, base, monkeypatch):
    original = write_folder(tmp_path / "mistral")
    plain = built(work, book, source_of(original))
    pairs = write_adapter(tmp_path / "lora", ModelConfig.from_dict(PARAMS), list(MERGED), rank=4, alpha=6)
    adapter = {"adapter": {"path": str(tmp_path / "lora")}}
    merged = stored_tensors(built(work, book, source_of(original, name="merged", **adapter)))
    before = stored_tensors(plain)
    assert {name for name in before if merged[name] != before[name]} == {f"{m}.weight" for m in MERGED}
    for module, (a, b) in pairs.items():
        was, now = (floats(tensors[f"{module}.weight"]) for tensors in (before, merged))
        assert np.abs(now - (was + 1.5 * b.astype(np.float64) @ a)).max() < 2.0**-9
    folder = plain
    if base == "transformers":
        folder = tmp_path / "view"
        folder.mkdir()
        write_view(LOADERS[base], plain, folder, lambda done: None)
    elif base == "prefixed":
        arrays = write_checkpoint(tmp_path / "plain", HEADER)
        header = [Tensor(f"module.{t.name}", t.dtype, t.shape) for t in HEADER]
        folder = write_folder(tmp_path / base, header, {f"module.{n}": a for n, a in arrays.items()})
    monkeypatch.setattr(checkpoint, "CHUNK_BYTES", 4096)  # many chunks, or a head at a time
    assert stored_tensors(built(work, book, source_of(folder, name=base, **adapter))) == merged


def floats(tensor):
    """The values of a stored BF16 tensor."""
    _, shape, data = tensor
    return cast(to_rows(data, "BF16", shape), "BF16", "F32")


@pytest.mark.parametrize(
    "prefix", ["model.", "module.", "_orig_mod.", "base_model.model.", "module._orig_mod."]
)
def test_a_prefix_of_all_names_is_left_out(tmp_path, work, book, prefix):
    header = [Tensor(prefix + t.name, t.dtype, t.shape) for t in HEADER]
    arrays = write_checkpoint(tmp_path / "plain", HEADER)
    folder = write_folder(tmp_path / "mine", header, {prefix + n: array for n, array in arrays.items()})
    plain = write_folder(tmp_path / "other", HEADER, arrays)
    expected = stored_tensors(built(work, book, source_of(plain)))
    assert stored_tensors(built(work, book, source_of(folder, name="prefixed"))) == expected


def test_a_prefix_of_some_names_is_named(tmp_path, work, book):
    header = [Tensor("module." * (i % 2) + t.name, t.dtype, t.shape) for i, t in enumerate(HEADER)]
    assert "they begin with `module.`, the others do not" in refused(
        work, book, write_folder(tmp_path / "m", header)
    )


@pytest.mark.parametrize("name", ["output.weight", "lm_head.weight", "mm_whisper_embeddings.output.weight"])
@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_a_head_is_left_out_if_it_is_the_embedding_and_else_refused(tmp_path, work, book, name, dtype):
    shape = next(t.shape for t in HEADER if t.name == EMBEDDING)
    header = [*HEADER, Tensor(name, dtype, shape)]
    arrays = write_checkpoint(tmp_path / "plain", HEADER)
    head = arrays[EMBEDDING].astype({"BF16": mx.bfloat16, "F32": mx.float32}[dtype])
    same = write_folder(tmp_path / "same", header, arrays | {name: head})
    without = stored_tensors(
        built(work, book, source_of(write_folder(tmp_path / "plain folder", HEADER, arrays)))
    )
    assert stored_tensors(built(work, book, source_of(same, name="same"))) == without
    other = write_folder(tmp_path / "other", header, arrays | {name: head[::-1]})
    said = refused(work, book, other, name="other")
    assert said.startswith(f"{name} differs from the embedding {EMBEDDING}")


@pytest.mark.parametrize(
    ("dtype", "size", "hint"),
    [
        ("U8", 1, "start from the unquantized checkpoint"),
        ("I64", 8, "start from the unquantized checkpoint"),
        ("F8_E4M3", 1, "save the model in bfloat16"),
    ],
)
def test_other_dtypes_are_refused_by_name_in_the_plan(tmp_path, work, book, dtype, size, hint):
    folder = tmp_path / "mine"
    write_folder(folder)
    wrong = next(t for t in HEADER if t.name.endswith("layers.0.feed_forward.w1.weight"))
    header = [Tensor(t.name, dtype, t.shape) if t == wrong else t for t in HEADER]
    with closing(CheckpointWriter(folder / "consolidated.safetensors", header)) as writer:
        for tensor in header:
            writer.write(bytes(tensor.nbytes))
        writer.finish()
    said = refused(work, book, folder)
    assert f"{wrong.name} has {dtype}" in said and hint in said


def test_a_tensor_in_two_files_is_refused(tmp_path, work, book):
    folder = write_folder(tmp_path / "mine", HEADER[:5], name="a.safetensors")
    write_checkpoint(folder / "b.safetensors", HEADER[4:])
    assert "is in a.safetensors and in b.safetensors" in refused(work, book, folder)


def test_the_order_of_a_files_header_changes_nothing(tmp_path, work, book):
    arrays = write_checkpoint(tmp_path / "any", HEADER)
    one = built(work, book, source_of(write_folder(tmp_path / "one", HEADER, arrays)), "4bit")
    two = built(
        work, book, source_of(write_folder(tmp_path / "two", HEADER[::-1], arrays), name="two"), "4bit"
    )
    assert (one / "model.safetensors").read_bytes() == (two / "model.safetensors").read_bytes()


def test_links_are_followed_in_every_stage(tmp_path, work, book):
    folder, links = write_folder(tmp_path / "blobs"), tmp_path / "links"
    links.mkdir()
    for path in folder.iterdir():
        (links / path.name).symlink_to(path)
    linked = source_of(links, name="linked")
    assert stored_tensors(built(work, book, linked)) == stored_tensors(built(work, book, source_of(folder)))
    assert not write_unquantized(work, linked)
    assert unquantized_folder(work, linked) == folder


def test_files_of_other_names_are_read_in_every_stage(tmp_path, work, book):
    folder, other = write_folder(tmp_path / "usual"), tmp_path / "unusual"
    other.mkdir()
    names = {
        "consolidated.safetensors": "any.safetensors",
        "params.json": "sizes.json",
        "tekken.json": "words.json",
    }
    for name, unusual in names.items():
        shutil.copy(folder / name, other / unusual)
    source = source_of(other, name="unusual", params="sizes.json", tokenizer="words.json")
    assert stored_tensors(built(work, book, source)) == stored_tensors(built(work, book, source_of(folder)))
    assert write_unquantized(work, source)
    assert not write_unquantized(work, source)  # it is there already
    copy = unquantized_folder(work, source)
    assert stored_tensors(copy) == stored_tensors(work.artifact("unusual", "bf16"))
    assert {path.name for path in copy.iterdir()} >= {"config.json", "tekken.json", "model.safetensors"}
    assert not write_unquantized(work, source_of(folder).model_copy(update={"name": "mine"}))


def test_the_sizes_are_those_of_the_sources_own_file(tmp_path, work, book):
    folder = write_folder(tmp_path / "mine", name="model.safetensors")
    (folder / "config.json").write_text(json.dumps(PARAMS | {"rope_theta": 5e5}))  # voxrun reads it first
    source = source_of(folder)
    stages.fetch(work, source)
    assert write_unquantized(work, source)
    config = json.loads((unquantized_folder(work, source) / "config.json").read_text())
    assert config["rope_theta"] == PARAMS["rope_theta"]
    (folder / "config.json").write_text(json.dumps(PARAMS))
    assert unquantized_folder(work, source) == folder


def test_a_copy_to_compare_with_is_made_again_if_it_was_changed(tmp_path, work, book):
    source = source_of(write_folder(tmp_path / "mine", name="any.safetensors"))
    stages.fetch(work, source)
    first = stages.unquantize(work, source)
    path = unquantized_folder(work, source) / "model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not is_unquantized(work, source)
    assert stages.unquantize(work, source) == first
    assert is_unquantized(work, source) and path.read_bytes() == content
    path.unlink()
    assert not is_unquantized(work, source)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_an_adapter_that_was_replaced_after_it_was_fetched_is_not_merged(tmp_path, work, book, name):
    adapter, config = tmp_path / "adapter", ModelConfig.from_dict(PARAMS)
    write_adapter(adapter, config, [QUERY])
    source = source_of(write_folder(tmp_path / "mine"), adapter={"path": str(adapter)})
    stages.fetch(work, source)
    write_adapter(tmp_path / "other", config, [QUERY], seed=1, alpha=16)
    (adapter / name).rename(tmp_path / "kept")
    shutil.copy(tmp_path / "other" / name, adapter / name)
    with pytest.raises(CheckpointError, match=f"{name} in .*: changed since the adapter was fetched"):
        stages.convert(variant_of(work, book, source))
    (tmp_path / "kept").replace(adapter / name)  # nothing of the other one may be kept
    resumed = stages.convert(variant_of(work, book, source))
    shutil.rmtree(work.out)
    stages.fetch(work, source)
    assert stages.convert(variant_of(work, book, source)) == resumed


def beside_a_tie(bits, dropped, steps):
    """A float64 beside the middle of two numbers, which have so many bits fewer than float32."""
    middle = np.uint32(bits >> dropped << dropped | 1 << (dropped - 1)).view(np.float32)
    return float(middle) * (1 + steps * 2.0**-45)


FINITE_BITS = st.integers(0, 0x7F7FFFFF)
NEAR = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=64),
    st.builds(beside_a_tie, FINITE_BITS, st.sampled_from([13, 16]), st.integers(-3, 3)),
)


@given(st.lists(NEAR, min_size=1, max_size=50), st.sampled_from(["BF16", "F16"]))
def test_a_float64_is_rounded_once_to_the_nearest(values, dtype):
    rows = cast(np.array(values), "F64", dtype)
    kind = {"BF16": mx.bfloat16, "F16": mx.float16}[dtype]
    stored = mx.array(rows.view(np.uint16)).view(kind)
    for value, rounded in zip(values, np.array(stored.astype(mx.float32), np.float64), strict=True):
        greatest = float(np.float32(3.3895314e38)) if dtype == "BF16" else 65504.0
        if abs(value) > greatest or not np.isfinite(rounded):
            continue
        digits = {"BF16": 8, "F16": 11}[dtype]
        least = {"BF16": -126, "F16": -14}[dtype]
        exponent = max(least, int(np.floor(np.log2(abs(value)))) if value else least)
        half = Fraction(2) ** (exponent - digits)
        assert abs(Fraction(value) - Fraction(float(rounded))) <= half
