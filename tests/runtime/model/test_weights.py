"""Files to model, strictly: what does not fit is named, and both naming schemes give the same model."""

import json
from pathlib import Path

import numpy as np
import pytest
from comparison import error
from small_models import Tensors, build, random_tensors, small_params, write_artifact, write_mistral

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.layout import INDEX
from voxrun.device import mx, tree_flatten
from voxrun.errors import ConfigError, WeightsError
from voxrun.model.load import load_model

pytestmark = pytest.mark.usefixtures("mlx_layers")

PARAMS = small_params()
NORM = "language_model.norm.weight"


@pytest.fixture
def tensors() -> Tensors:
    return random_tensors(ModelConfig.from_dict(PARAMS))


def faults(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_model(folder)
    message = str(caught.value)
    assert str(folder) in message
    return message


def test_both_layouts_give_the_same_model(tmp_path: Path, tensors: Tensors) -> None:
    ours = load_model(write_artifact(tmp_path / "ours", PARAMS, tensors))
    mistrals = load_model(write_mistral(tmp_path / "mistral", PARAMS, tensors))
    loaded, other = (dict(tree_flatten(model.parameters())) for model in (ours, mistrals))
    assert loaded.keys() == other.keys() == tensors.keys()
    assert all(np.array_equal(np.array(loaded[name]), tensors[name]) for name in tensors)
    assert all(np.array_equal(np.array(other[name]), tensors[name]) for name in tensors)


def test_a_head_of_its_own_is_ignored_for_it_is_tied(tmp_path: Path, tensors: Tensors) -> None:
    folder = write_mistral(tmp_path, PARAMS, tensors)
    path = folder / "consolidated.safetensors"
    raw = mx.load(str(path))
    mx.eval(raw)
    mx.save_safetensors(str(path), raw | {"output.weight": mx.zeros((1024, 64))})
    load_model(folder)


def test_half_precision_files_are_computed_in_float32_on_a_cpu(tmp_path: Path, tensors: Tensors) -> None:
    half = {name: mx.array(values).astype(mx.bfloat16) for name, values in tensors.items()}
    model = load_model(write_artifact(tmp_path, PARAMS, half))
    expected = mx.float32 if mx.default_device().type == mx.DeviceType.cpu else mx.bfloat16
    assert model.dtype == model.language_model.norm.weight.dtype == expected


def test_missing_tensors_are_named(tmp_path: Path, tensors: Tensors) -> None:
    del tensors["adapter.w_in.weight"], tensors["encoder.layers.1.attention.v_proj.bias"]
    message = faults(write_artifact(tmp_path, PARAMS, tensors))
    assert "2 missing (adapter.w_in.weight, encoder.layers.1.attention.v_proj.bias)" in message


def test_unexpected_tensors_are_named_and_long_lists_cut(tmp_path: Path, tensors: Tensors) -> None:
    extra = {f"language_model.layers.2.strange_{i}": np.zeros(1, np.float32) for i in range(7)}
    message = faults(write_artifact(tmp_path, PARAMS, tensors | extra))
    assert "7 unexpected (language_model.layers.2.strange_0, " in message
    assert "strange_4 and 2 more)" in message
    assert "strange_5" not in message


def test_misshapen_tensors_are_named(tmp_path: Path, tensors: Tensors) -> None:
    tensors[NORM] = np.ones(65, np.float32)
    message = faults(write_artifact(tmp_path, PARAMS, tensors))
    assert f"1 misshapen ({NORM} (65,) instead of (64,))" in message


@pytest.mark.parametrize("quantization", [{}, {"group_size": 32, "bits": 4}])
def test_mistrals_files_are_read_unless_quantized_ones_lie_beside_them(
    tmp_path: Path, tensors: Tensors, quantization: dict[str, int]
) -> None:
    """The upstream's repository has both layouts; converters leave what they converted in their output."""
    ours = {name: values + 1 if name == NORM else values for name, values in tensors.items()}
    write_mistral(tmp_path, PARAMS, tensors)
    folder = write_artifact(tmp_path, PARAMS | {"quantization": quantization}, ours)
    norm = np.array(load_model(folder).language_model.norm.weight)
    assert np.array_equal(norm, (ours if quantization else tensors)[NORM])


def test_unknown_names_of_mistrals_layout_are_unexpected(tmp_path: Path, tensors: Tensors) -> None:
    folder = write_mistral(tmp_path, PARAMS, tensors)
    path = folder / "consolidated.safetensors"
    raw = mx.load(str(path))
    raw["layers.0.attention.wx.weight"] = raw.pop("layers.0.attention.wq.weight")
    mx.eval(raw)
    mx.save_safetensors(str(path), raw)
    message = faults(folder)
    assert "1 missing (language_model.layers.0.attention.q_proj.weight)" in message
    assert "1 unexpected (layers.0.attention.wx.weight)" in message


def write_shards(folder: Path, tensors: Tensors) -> Path:
    write_artifact(folder, PARAMS, {}).joinpath("model.safetensors").unlink()
    weight_map = {name: f"model-{1 + i % 2}.safetensors" for i, name in enumerate(sorted(tensors))}
    for shard in set(weight_map.values()):
        mine = {name: mx.array(tensors[name]) for name in tensors if weight_map[name] == shard}
        mx.save_safetensors(str(folder / shard), mine)
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}), encoding="utf-8")
    return folder


def test_shards_are_read_by_their_index(tmp_path: Path, tensors: Tensors) -> None:
    model = load_model(write_shards(tmp_path, tensors))
    loaded = dict(tree_flatten(model.parameters()))
    assert all(np.array_equal(np.array(loaded[name]), tensors[name]) for name in tensors)


def test_a_missing_shard_is_named(tmp_path: Path, tensors: Tensors) -> None:
    (write_shards(tmp_path, tensors) / "model-2.safetensors").unlink()
    assert f"{tmp_path / 'model-2.safetensors'}: the file is missing" in faults(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 1}}'])
def test_a_damaged_index_is_named(tmp_path: Path, tensors: Tensors, content: str) -> None:
    (write_shards(tmp_path, tensors) / INDEX).write_text(content, encoding="utf-8")
    assert f"{tmp_path / INDEX}: no readable weight_map" in faults(tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 1000, 500_000, -1])
def test_a_file_that_was_cut_short_is_named(tmp_path: Path, tensors: Tensors, kept: int) -> None:
    path = write_artifact(tmp_path, PARAMS, tensors) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    said = faults(tmp_path)
    assert f"{path}: " in said
    assert any(why in said for why in ("empty", "cut off in its header", "truncated"))


def test_a_folder_without_weights_says_what_it_looked_for(tmp_path: Path, tensors: Tensors) -> None:
    (write_artifact(tmp_path, PARAMS, tensors) / "model.safetensors").unlink()
    assert "none of model.safetensors.index.json, model.safetensors, consolidated" in faults(tmp_path)


def test_weights_without_configuration(tmp_path: Path, tensors: Tensors) -> None:
    (write_artifact(tmp_path, PARAMS, tensors) / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"neither config\.json nor params\.json is there"):
        load_model(tmp_path)


def test_values_are_the_files_and_not_those_of_initialisation(tmp_path: Path, tensors: Tensors) -> None:
    other = random_tensors(ModelConfig.from_dict(PARAMS), seed=1)
    mel = mx.array(np.random.default_rng(0).normal(size=(16, 128)).astype(np.float32))
    loaded = load_model(write_artifact(tmp_path, PARAMS, tensors))
    ours, same, different = (
        np.array(model.encode(mel, model.encoder_state())[0])
        for model in (loaded, build(PARAMS, tensors), build(PARAMS, other))
    )
    assert np.array_equal(ours, same)
    assert error(different, ours) > 0.1
