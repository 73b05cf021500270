"""doit diff: how two artifacts differ, in stored bytes and in dequantized values."""

import json
import math
import re
import shutil

import numpy as np
import pytest
from projects import doit
from small_sources import convert_at_once, header_of, params_of, random_array, write_checkpoint

from voxbuild.errors import CheckpointError
from voxbuild.files import read_json, write_json
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.recipe import Shards
from voxbuild.tensors.checkpoint import Checkpoint
from voxbuild.validate import compare as module
from voxbuild.validate.compare import as_text, compare, stored_bytes, summary
from voxbuild.validate.weights import Artifact, Weight
from voxrun.device import mx
from voxrun.errors import ConfigError

PARAMS = params_of()
HEADER = header_of(PARAMS)
GATE = "language_model.layers.0.mlp.gate_proj.weight"
NORM = "language_model.norm.weight"
SOURCE_OF = {GATE: "layers.0.feed_forward.w1.weight", NORM: "norm.weight"}


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "consolidated.safetensors"
    write_checkpoint(path, HEADER)
    return path


@pytest.fixture(scope="module")
def made(book, source, tmp_path_factory):
    """Folder of a recipe's artifact over the random source. Look at it; change only copies."""
    folder = tmp_path_factory.mktemp("made")

    def make(name):
        if not (folder / name).is_dir():
            make_artifact(book.recipe(name), source, folder / name)
        return folder / name

    return make


def make_artifact(recipe, source, folder):
    folder.mkdir()
    plan = make_plan(recipe, HEADER, PARAMS)
    with Checkpoint(source) as checkpoint:
        convert_at_once(plan, checkpoint, folder)
    write_json(folder / "config.json", dict(plan.config))
    write_json(folder / "model.safetensors.index.json", plan.index())
    return folder


def compared(one, other):
    done = []
    with Artifact(one) as a, Artifact(other) as b:
        result = compare(a, b, ("a", "b"), done.append)
        assert sum(done) == stored_bytes(a, b)
    return result


def entry(result, name):
    return next(tensor for tensor in result.tensors if tensor.name == name)


def quantized(recipe, name):
    """What the recipe makes of a source's tensor, whole and in float64."""
    value, how = (
        random_array(next(t for t in HEADER if t.name == SOURCE_OF[name])),
        recipe.quantize.quantization,
    )
    packed, scales, *biases = mx.quantize(value, how.group_size, how.bits, how.mode, stream=mx.cpu)
    if how.mode == "affine":
        scales, biases = scales.astype(mx.float32), [biases[0].astype(mx.float32)]
    back = mx.dequantize(packed, scales, *biases, group_size=how.group_size, bits=how.bits, mode=how.mode)
    return np.array(back.astype(mx.float32)).astype(np.float64)


def test_an_artifact_equals_its_copy(made, tmp_path):
    result = compared(made("4bit"), shutil.copytree(made("4bit"), tmp_path / "copy"))
    assert result.equal
    assert len(result.tensors) == len(HEADER)
    assert as_text(result) == f"a and b are equal: {len(HEADER)} tensors"


@pytest.mark.slow
@pytest.mark.parametrize("other", ["6bit", "mxfp4", "nvfp4", "mxfp8", "mixed-4-6"])
def test_other_bits_and_modes_are_compared_by_dequantized_values(book, made, other):
    result = compared(made("4bit"), made(other))
    assert not result.equal
    gate = entry(result, GATE)
    error = quantized(book.recipe("4bit"), GATE) - quantized(book.recipe(other), GATE)
    assert gate.bytes_differ is None or other == "mixed-4-6"
    assert gate.values_differ == np.count_nonzero(error)
    assert gate.max_error == pytest.approx(np.abs(error).max(), rel=1e-6)
    assert gate.rms_error == pytest.approx(math.sqrt((error**2).mean()), rel=1e-6)
    assert entry(result, NORM).equal


def test_against_unquantized_weights_the_error_is_that_of_rounding(book, made):
    gate = entry(compared(made("bf16"), made("8bit")), GATE)
    exact = np.array(random_array(next(t for t in HEADER if t.name == SOURCE_OF[GATE])).astype(mx.float32))
    error = quantized(book.recipe("8bit"), GATE) - exact
    assert gate.formats == ("BF16", "affine 8 bit / 64")
    assert gate.max_error == pytest.approx(np.abs(error).max(), rel=1e-6)
    assert 0 < gate.rms_error < gate.max_error < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 1000])
def test_the_result_does_not_depend_on_the_chunk_size_which_bounds_memory(made, monkeypatch, size):
    whole = compared(made("4bit"), made("6bit"))
    seen, values = [], Weight.values

    def spy(self, chunk):
        result = values(self, chunk)
        seen.append(result.size)
        return result

    monkeypatch.setattr(module, "CHUNK_VALUES", size)
    monkeypatch.setattr(Weight, "values", spy)
    parts = compared(made("4bit"), made("6bit"))
    widest = max(t.size // t.shape[0] for t in HEADER)
    assert max(seen) <= max(size, widest)
    for one, other in zip(whole.tensors, parts.tensors, strict=True):
        assert one.max_error == other.max_error
        assert one.values_differ == other.values_differ
        assert one.rms_error == pytest.approx(other.rms_error)


def flipped(folder, copy, name, leaf="weight", where=-1, bit=1):
    """A copy with a bit of one byte of a tensor flipped."""
    shutil.copytree(folder, copy)
    path = copy / "model.safetensors"
    with Checkpoint(path) as checkpoint:
        tensor = checkpoint.tensors[name.removesuffix("weight") + leaf]
    content = bytearray(path.read_bytes())
    content[tensor.start + where % tensor.nbytes] ^= bit
    path.write_bytes(content)
    return copy


def test_one_flipped_bit_is_one_byte_and_one_value(made, tmp_path):
    result = compared(made("4bit"), flipped(made("4bit"), tmp_path / "copy", GATE))
    assert [t.name for t in result.differing] == [GATE]
    gate = entry(result, GATE)
    assert (gate.bytes_differ, gate.values_differ) == (1, 1)
    assert gate.max_error > 0
    assert gate.rms_error == pytest.approx(gate.max_error / math.sqrt(math.prod(gate.shape)))
    assert GATE in as_text(result)


def test_a_changed_scale_changes_its_whole_group(made, tmp_path):
    other = flipped(made("4bit"), tmp_path / "copy", GATE, "scales", where=-2, bit=64)
    gate = entry(compared(made("4bit"), other), GATE)
    assert gate.bytes_differ == 1
    assert 32 < gate.values_differ <= 64


def test_a_weight_that_is_not_finite_is_an_infinite_error_and_null_in_json(made, tmp_path):
    other = shutil.copytree(made("bf16"), tmp_path / "other")
    path = other / "model.safetensors"
    with Checkpoint(path) as checkpoint:
        start = checkpoint.tensors[NORM].start
    content = bytearray(path.read_bytes())
    content[start : start + 2] = b"\xc0\x7f"
    path.write_bytes(content)
    result = compared(made("bf16"), other)
    norm = entry(result, NORM)
    assert norm.values_differ == 1
    assert norm.max_error == math.inf
    stored = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert next(t for t in stored["tensors"] if t["name"] == NORM)["max_error"] is None
    assert result.differing[0].name == NORM


def test_missing_tensors_and_differing_shapes_and_keys_are_named(book, made, tmp_path):
    params = params_of(vocabulary=192)
    write_checkpoint(tmp_path / "other.safetensors", header_of(params))
    plan = make_plan(book.recipe("4bit"), header_of(params), params)
    (tmp_path / "other").mkdir()
    with Checkpoint(tmp_path / "other.safetensors") as checkpoint:
        convert_at_once(plan, checkpoint, tmp_path / "other")
    write_json(tmp_path / "other/config.json", dict(plan.config))
    path = tmp_path / "other/model.safetensors"
    content = path.read_bytes()
    path.write_bytes(content.replace(NORM.encode(), NORM.replace("norm", "mron").encode(), 1))
    result = compared(made("4bit"), tmp_path / "other")
    assert result.only == ([NORM], [NORM.replace("norm", "mron")])
    assert result.config == {"vocab_size": (160, 192)}
    table = entry(result, "language_model.embed_tokens.weight")
    assert table.formats == ("160x128 affine 4 bit / 64", "192x128 affine 4 bit / 64")
    assert (table.bytes_differ, table.values_differ, table.rms_error) == (None, None, None)
    said = as_text(result)
    assert f"only in a: {NORM}" in said
    assert "config.json: vocab_size is 160 in a, 192 in b" in said
    assert "160x128 affine 4 bit / 64 -> 192x128 affine 4 bit / 64" in said


def test_another_key_in_config_json_is_a_difference(made, tmp_path):
    copy = shutil.copytree(made("4bit"), tmp_path / "copy")
    write_json(copy / "config.json", read_json(copy / "config.json") | {"rope_theta": 1.0})
    result = compared(made("4bit"), copy)
    assert result.config.keys() == {"rope_theta"}
    assert not result.equal


def test_totals_by_kind_are_sums_over_their_tensors(made):
    result = compared(made("4bit"), made("6bit"))
    rows = {row["kind"]: row for row in summary(result.tensors)}
    assert {"embedding", "adapter", "encoder mlp", "decoder attention", "decoder norm"} <= rows.keys()
    assert sum(row["tensors"] for row in rows.values()) == len(HEADER)
    mlp = [t for t in result.tensors if re.match(r"language_model.*\.mlp\.", t.name)]
    row = rows["decoder mlp"]
    assert row["differing"] == row["tensors"] == len(mlp)
    assert row["max_error"] == max(t.max_error for t in mlp)
    squares = sum(t.rms_error**2 * math.prod(t.shape) for t in mlp)
    assert row["rms_error"] == pytest.approx(math.sqrt(squares / sum(math.prod(t.shape) for t in mlp)))
    assert rows["decoder norm"]["differing"] == 0


def test_shards_are_compared_as_one_file(book, tmp_path):
    params = params_of(dim=256, hidden=1024)
    write_checkpoint(tmp_path / "big.safetensors", header_of(params))
    for name, size in (("one", "5GB"), ("many", "1MB")):
        recipe = book.recipe("8bit").model_copy(update={"shards": Shards(max_size=size)})
        plan = make_plan(recipe, header_of(params), params)
        (tmp_path / name).mkdir()
        with Checkpoint(tmp_path / "big.safetensors") as checkpoint:
            convert_at_once(plan, checkpoint, tmp_path / name)
        write_json(tmp_path / name / "config.json", dict(plan.config))
        write_json(tmp_path / name / "model.safetensors.index.json", plan.index())
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    assert compared(tmp_path / "one", tmp_path / "many").equal


def test_a_config_that_does_not_fit_the_weights_is_reported(made, tmp_path):
    copy = shutil.copytree(made("4bit"), tmp_path / "copy")
    config = read_json(copy / "config.json")
    config["quantization"]["bits"] = 3
    write_json(copy / "config.json", config)
    with pytest.raises(CheckpointError, match=r"is not quantized as config\.json says"):
        Artifact(copy)


@pytest.mark.parametrize(
    "quantization",
    [
        *([4], "4", 4, {"bits": 4}, {"group_size": 64}, {"bits": 0, "group_size": 64}),
        *({"bits": 99, "group_size": 64}, {"bits": 4, "group_size": -64}, {"bits": 4, "group_size": 2**40}),
        *({"bits": 4, "group_size": 64, "mode": 4}, {"bits": 4, "group_size": 64, "mode": "unknown"}),
        {"bits": 4, "group_size": 64, GATE.removesuffix(".weight"): {"bits": "4"}},
    ],
)
def test_malformed_quantization_is_reported(made, tmp_path, quantization):
    copy = shutil.copytree(made("4bit"), tmp_path / "copy")
    write_json(copy / "config.json", read_json(copy / "config.json") | {"quantization": quantization})
    with pytest.raises((CheckpointError, ConfigError), match="quantiz"):
        Artifact(copy)


@pytest.mark.slow
def test_the_exit_code_of_diff_says_whether_they_are_equal(project):
    same = doit(project, "diff", "4bit", "out/tiny/4bit")
    assert (same.returncode, same.stdout) == (
        0,
        f"4bit and out/tiny/4bit are equal: {len(HEADER)} tensors\n",
    )
    process = doit(project, "diff", "4bit", "2bit")
    assert process.returncode == 1
    assert process.stdout.startswith("| modules")
    assert "affine 4 bit / 64 -> affine 2 bit / 64" in process.stdout
    assert "Traceback" not in process.stdout
    assert "!!" not in process.stdout


@pytest.mark.slow
def test_the_json_holds_every_tensor_and_nothing_else_is_said(project):
    process = doit(project, "diff", "--format", "json", "4bit", "2bit", "source=tiny")
    assert process.returncode == 1
    told = json.loads(process.stdout)
    assert (told["a"], told["b"], told["equal"]) == ("4bit", "2bit", False)
    assert len(told["tensors"]) == len(HEADER)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["4bit", "2bit", "--fromat", "json"], "doit diff A B"),
        (["4bit", "nowhere", "--format=json"], "nowhere: there is no artifact"),
        (["4bit", "source"], "source/config.json: "),
    ],
)
def test_artifacts_that_cannot_be_compared_are_reported(project, said, expected):
    process = doit(project, "diff", *said)
    assert process.returncode == 1
    assert expected in process.stdout
    assert "Traceback" not in process.stdout
