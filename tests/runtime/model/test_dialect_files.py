"""Folders of every dialect give the same model, plain and quantized, and the same transcript."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from committed import CHECKPOINT, CLIPS, SHOWN, SHOWN_TEXT
from dialect_files import saved, write_folder
from small_models import Tensors, random_tensors, small_params, write_artifact

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import DIALECTS, MISTRAL, MLX_AUDIO, TRANSFORMERS, VOXMLX, Dialect
from voxrun.device import mx, tree_flatten
from voxrun.errors import ConfigError, WeightsError
from voxrun.model.load import load_model, read_folder
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.transcriber import Transcriber

pytestmark = pytest.mark.usefixtures("mlx_layers")

PARAMS = small_params(ada_rms_norm_t_cond_dim=32)  # transformers knows no other
CONFIG = ModelConfig.from_dict(PARAMS)
QUERY = "language_model.layers.1.attention.q_proj"
DOWN = "encoder.layers.0.mlp.down_proj"
EMBEDDING = "language_model.embed_tokens"
ADAPTER = "adapter.w_in"
QUANTIZATION: dict[str, Any] = {
    "group_size": 32,
    "bits": 8,
    "mode": "mxfp8",
    QUERY: {"group_size": 32, "bits": 4},  # no mode: affine
    EMBEDDING: {"group_size": 32, "bits": 6, "mode": "affine"},
    DOWN: {"group_size": 16, "bits": 4, "mode": "nvfp4"},
    ADAPTER: False,
}
LEAVES = ("weight", "scales", "biases")

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


@pytest.fixture
def tensors() -> Tensors:
    return random_tensors(CONFIG)


def quantized(tensors: Tensors) -> dict[str, mx.array]:
    """Every matrix that can be, as QUANTIZATION says."""
    packed = {}
    for name, values in tensors.items():
        path = name.rpartition(".")[0]
        settings = QUANTIZATION.get(path, {k: QUANTIZATION[k] for k in ("group_size", "bits", "mode")})
        if not settings or values.ndim != 2 or values.shape[1] % settings["group_size"]:
            packed[name] = mx.array(values)
            continue
        parts = mx.quantize(mx.array(values), **settings)
        packed |= {f"{path}.{leaf}": part for leaf, part in zip(LEAVES, parts, strict=False)}
    return packed


def parameters(model: VoxtralRealtime) -> dict[str, np.ndarray]:
    flat: Any = tree_flatten(model.parameters())
    return {name: np.array(value) for name, value in flat}


def faults(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_model(folder)
    return str(caught.value)


@each_dialect
def test_every_dialect_gives_the_same_weights(dialect: Dialect, tmp_path: Path, tensors: Tensors) -> None:
    loaded = parameters(load_model(write_folder(tmp_path, dialect, PARAMS, tensors)))
    assert loaded.keys() == tensors.keys()
    assert all(np.array_equal(loaded[name], tensors[name]) for name in tensors)


@each_dialect
def test_every_dialect_can_be_quantized_path_by_path(
    dialect: Dialect, tmp_path: Path, tensors: Tensors
) -> None:
    packed = quantized(tensors)
    model = load_model(write_folder(tmp_path, dialect, PARAMS, packed, QUANTIZATION))
    loaded = parameters(model)
    assert loaded.keys() == packed.keys()
    assert all(np.array_equal(loaded[name], np.array(packed[name])) for name in packed)
    query, down = model.language_model.layers[1].attention.q_proj, model.encoder.layers[0].mlp.down_proj
    assert (query.mode, query.bits, query.group_size) == ("affine", 4, 32)
    assert (down.mode, down.bits) == ("nvfp4", 4)
    assert model.language_model.embed_tokens.bits == 6
    assert model.encoder.layers[1].mlp.down_proj.weight.dtype == mx.float32  # 80 columns
    assert model.adapter.w_in.weight.dtype == mx.float32


@pytest.fixture(scope="session")
def tiny() -> dict[str, mx.array]:
    return read_folder(CHECKPOINT)[1]


@pytest.mark.slow
@each_dialect
def test_every_dialect_gives_the_same_transcript(
    dialect: Dialect, tmp_path: Path, tiny: dict[str, mx.array]
) -> None:
    params = json.loads((CHECKPOINT / "params.json").read_text(encoding="utf-8"))
    transcriber = Transcriber.open(write_folder(tmp_path, dialect, params, tiny))
    heard = transcriber.transcribe(CLIPS / f"{SHOWN}.flac")
    assert heard.text.strip() == SHOWN_TEXT


def test_names_and_configuration_may_come_from_two_tools(tmp_path: Path, tiny: dict[str, mx.array]) -> None:
    """As a conversion leaves them that takes over the config.json it found."""
    params = json.loads((CHECKPOINT / "params.json").read_text(encoding="utf-8"))
    folder = write_folder(tmp_path, MLX_AUDIO, params, tiny)
    (folder / "config.json").write_text(json.dumps(saved(TRANSFORMERS)), encoding="utf-8")
    loaded = parameters(load_model(folder))
    assert all(np.array_equal(loaded[name], np.array(tiny[name].astype(mx.float32))) for name in tiny)


def test_canonical_paths_serve_in_any_dialect(tmp_path: Path, tensors: Tensors) -> None:
    folder = write_folder(tmp_path, MLX_AUDIO, PARAMS, quantized(tensors))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"quantization": QUANTIZATION}), encoding="utf-8")
    assert load_model(folder).encoder.layers[0].mlp.down_proj.mode == "nvfp4"


def test_mistrals_layout_goes_before_others_in_one_folder(tmp_path: Path, tensors: Tensors) -> None:
    other = random_tensors(CONFIG, seed=1)
    write_folder(tmp_path, TRANSFORMERS, PARAMS | {"sliding_window": 4}, other)
    model = load_model(write_folder(tmp_path, MISTRAL, PARAMS, tensors))
    assert np.array_equal(np.array(model.adapter.w_in.weight), tensors["adapter.w_in.weight"])
    assert model.config.decoder.sliding_window == 8192


def test_a_tied_head_is_ignored(tmp_path: Path, tensors: Tensors) -> None:
    path = write_folder(tmp_path, TRANSFORMERS, PARAMS, tensors) / "model.safetensors"
    rewrite(path, {"lm_head.weight": mx.zeros((1024, 64)), "language_model.lm_head.weight": mx.zeros((1,))})
    load_model(tmp_path)


def rewrite(path: Path, changes: dict[str, mx.array | None]) -> None:
    raw = mx.load(str(path))
    assert isinstance(raw, dict)
    mx.eval(raw)
    kept = {name: tensor for name, tensor in (raw | changes).items() if tensor is not None}
    mx.save_safetensors(str(path), kept)


@pytest.mark.parametrize("dialect", [MISTRAL, MLX_AUDIO, TRANSFORMERS], ids=lambda dialect: dialect.name)
def test_a_name_of_ours_in_a_file_of_another_dialect_is_refused(
    dialect: Dialect, tmp_path: Path, tensors: Tensors
) -> None:
    """It would be taken without the other's change of layout."""
    path = next(iter(write_folder(tmp_path, dialect, PARAMS, tensors).glob("*.safetensors")))
    query = mx.array(tensors[f"{QUERY}.weight"])
    rewrite(path, {dialect.native(f"{QUERY}.weight"): None, f"{QUERY}.weight": query})
    assert f"{QUERY}.weight is another dialect's or a second name, beside {dialect.name}'s" in faults(
        tmp_path
    )


def test_two_names_of_one_tensor_are_refused(tmp_path: Path, tensors: Tensors) -> None:
    path = write_folder(tmp_path, MISTRAL, PARAMS, tensors) / "consolidated.safetensors"
    rewrite(path, {MISTRAL.prefixes[0] + "tok_embeddings.weight": mx.zeros((1024, 64))})
    assert "tok_embeddings.weight is another dialect's or a second name" in faults(tmp_path)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        (f"{QUERY}.weight", (95, 64)),
        (f"{QUERY}.weight", (24, 64)),
        (f"{QUERY}.weight", ()),
        ("encoder.layers.0.attention.q_proj.bias", (95,)),
        ("encoder.conv1.weight", (48,)),
        ("encoder.conv1.weight", (48, 3, 128)),
    ],
)
def test_what_cannot_be_laid_out_is_misshapen(
    tmp_path: Path, tensors: Tensors, name: str, shape: tuple[int, ...]
) -> None:
    path = write_folder(tmp_path, TRANSFORMERS, PARAMS, tensors) / "model.safetensors"
    rewrite(path, {TRANSFORMERS.native(name): mx.zeros(shape)})
    assert f"1 misshapen ({name} (" in faults(tmp_path)


def test_missing_tensors_of_another_dialect_have_our_names(tmp_path: Path, tensors: Tensors) -> None:
    path = write_folder(tmp_path, MLX_AUDIO, PARAMS, tensors) / "model.safetensors"
    rewrite(path, {"decoder.tok_embeddings.weight": None, "decoder.gain": mx.zeros((1,))})
    message = faults(tmp_path)
    assert "1 missing (language_model.embed_tokens.weight)" in message
    assert "1 unexpected (decoder.gain)" in message


def test_a_missing_tekken_json_is_named_in_a_transformers_folder(tmp_path: Path, tensors: Tensors) -> None:
    (write_folder(tmp_path, TRANSFORMERS, PARAMS, tensors) / "tekken.json").unlink()
    with pytest.raises(ConfigError, match=r"tekken\.json"):
        Transcriber.open(tmp_path)


@pytest.mark.parametrize("dtype", [mx.int32, mx.uint32, mx.uint8], ids=str)
def test_integers_where_floats_belong_are_named(tmp_path: Path, tensors: Tensors, dtype: mx.Dtype) -> None:
    odd = {"encoder.norm.weight": mx.ones((48,), dtype)}
    kind = str(dtype).removeprefix("mlx.core.")
    message = faults(write_artifact(tmp_path, PARAMS, tensors | odd))
    assert f"1 of the wrong type (encoder.norm.weight {kind} instead of floating)" in message


@pytest.mark.parametrize(
    ("name", "dtype", "said"),
    [
        (f"{QUERY}.weight", mx.int32, "int32 instead of uint32"),
        (f"{QUERY}.weight", mx.float32, "floating instead of uint32"),
        (f"{QUERY}.scales", mx.uint8, "uint8 instead of floating"),
        (f"{QUERY}.biases", mx.int32, "int32 instead of floating"),
        (f"{DOWN}.scales", mx.float16, "floating instead of uint8"),
    ],
)
def test_parts_of_quantized_tensors_have_one_type(
    tmp_path: Path, tensors: Tensors, name: str, dtype: mx.Dtype, said: str
) -> None:
    packed = quantized(tensors)
    packed[name] = packed[name].astype(dtype)
    folder = write_artifact(tmp_path, PARAMS | {"quantization": QUANTIZATION}, packed)
    assert f"1 of the wrong type ({name} {said})" in faults(folder)


def test_scales_of_a_module_that_is_said_to_have_none_are_unexpected(
    tmp_path: Path, tensors: Tensors
) -> None:
    said = QUANTIZATION | {QUERY: False}
    message = faults(write_folder(tmp_path, VOXMLX, PARAMS, quantized(tensors), said))
    assert f"2 unexpected ({QUERY}.biases, {QUERY}.scales)" in message
