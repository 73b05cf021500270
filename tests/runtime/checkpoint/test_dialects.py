"""Names and layouts of other tools' files: the upstream's 711 tensors, both ways."""

import json
import re

import numpy as np
import pytest
from committed import CHECKPOINT, ROOT
from dialect_files import names_of
from small_models import random_tensors, small_params

from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import (
    DIALECTS,
    MISTRAL,
    MLX_AUDIO,
    TRANSFORMERS,
    VOXMLX,
    Dialect,
    _readings,
    halves_from_pairs,
    pairs_from_halves,
    recognise,
)
from voxrun.checkpoint.layout import Layout
from voxrun.device import mx
from voxrun.model.voxtral import parameter_shapes

UPSTREAM = ROOT / "tests" / "data" / "upstream"
CONFIG = ModelConfig.from_dict(small_params())
QUERY = "language_model.layers.1.attention.q_proj"
MODES = [
    {"mode": "affine", "group_size": 64, "bits": 4},
    {"mode": "affine", "group_size": 32, "bits": 3},
    {"mode": "mxfp4", "group_size": 32, "bits": 4},
    {"mode": "mxfp8", "group_size": 32, "bits": 8},
    {"mode": "nvfp4", "group_size": 16, "bits": 4},
]

each_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)


def test_the_table_holds_the_upstreams_tensors() -> None:
    header = json.loads((UPSTREAM / "header.json").read_text(encoding="utf-8"))
    table = names_of(MISTRAL)
    assert len(table) == 711
    assert set(table.values()) == header.keys()
    assert table.keys() == parameter_shapes(Layout(UPSTREAM).config).keys()


@each_dialect
def test_names_go_both_ways(dialect: Dialect) -> None:
    for ours, theirs in names_of(dialect).items():
        assert dialect.canonical(theirs) == ours
        assert theirs.endswith(dialect.native(ours))  # some of Mistral's stand in a container
        assert dialect.canonical(dialect.native(ours)) == ours


@each_dialect
@pytest.mark.parametrize("leaf", ["scales", "biases"])
def test_parts_of_quantized_tensors_go_both_ways(dialect: Dialect, leaf: str) -> None:
    for ours, theirs in names_of(dialect).items():
        ours, theirs = (re.sub("weight$", leaf, name) for name in (ours, theirs))
        assert dialect.canonical(theirs) == ours
        assert dialect.canonical(dialect.native(ours)) == ours


@each_dialect
def test_modules_are_named_as_their_tensors(dialect: Dialect) -> None:
    for ours, theirs in names_of(dialect).items():
        ours, theirs = (name.rpartition(".")[0] for name in (ours, theirs))
        assert dialect.canonical_module(theirs) == ours
        assert theirs.endswith(dialect.native_module(ours))
    assert dialect.canonical_module("group_size") is None


@each_dialect
def test_a_file_is_recognised_by_its_names(dialect: Dialect) -> None:
    names = list(names_of(dialect).values())
    assert recognise(names) is dialect
    assert recognise([*names[5:], "something.else"]) is dialect  # the fault is for the check to tell
    assert recognise(["lm_head.weight", *names]) is dialect


def test_transformers_names_in_memory_are_known_too() -> None:
    """PEFT's adapters have them, and files that other tools saved from the model in memory."""
    ours, theirs = zip(*names_of(TRANSFORMERS).items(), strict=True)
    in_files = re.compile(r"^(?:language_model\.model|(audio_tower|multi_modal_projector))\.")
    in_memory = [
        in_files.sub(lambda match: f"model.{match[1] or 'language_model'}.", name) for name in theirs
    ]
    assert not set(in_memory) & set(theirs)
    assert recognise(in_memory) is TRANSFORMERS
    assert [TRANSFORMERS.canonical(name) for name in in_memory] == list(ours)
    for name, *both in zip(ours, theirs, in_memory, strict=True):
        module, *both = (each.rpartition(".")[0] for each in (name, *both))
        assert TRANSFORMERS.native_modules(module) == both


def test_unknown_names_are_taken_for_canonical_ones() -> None:
    assert recognise(["a.weight", "b"]) is VOXMLX


def test_tinys_names_are_exactly_our_parameters() -> None:
    upstream = mx.load(str(CHECKPOINT / "consolidated.safetensors"))
    names = [MISTRAL.canonical(name) for name in upstream]
    assert len(set(names)) == len(names)
    assert set(names) == parameter_shapes(Layout(CHECKPOINT).config).keys()


@pytest.mark.parametrize("prefix", MISTRAL.prefixes)
@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("tok_embeddings.weight", "language_model.embed_tokens.weight"),
        (
            "whisper_encoder.transformer.layers.31.attention.wq.bias",
            "encoder.layers.31.attention.q_proj.bias",
        ),
        ("whisper_encoder.conv_layers.1.conv.weight", "encoder.conv2.weight"),
        ("audio_language_projection.2.weight", "adapter.w_out.weight"),
    ],
)
def test_containers_are_stripped(prefix: str, theirs: str, ours: str) -> None:
    assert MISTRAL.canonical(prefix + theirs) == MISTRAL.canonical(theirs) == ours


@pytest.mark.parametrize(
    "name",
    [
        "layers.x.attention.wq.weight",
        "layers.0.attention.wq.gain",
        "layers.0.0.attention.wq.weight",
        "layers..attention.wq.weight",
        "xlayers.0.ffn_norm.weight",
        "norm",
    ],
)
def test_other_names_are_unknown(name: str) -> None:
    assert MISTRAL.canonical(name) is None


def test_what_a_dialect_cannot_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="decoder"):
        VOXMLX.native("decoder.norm.weight")
    with pytest.raises(KeyError, match="decoder"):
        VOXMLX.native_module("decoder.norm")


def test_convolutions_are_transposed_where_they_are_pytorchs() -> None:
    assert [d for d in DIALECTS if d.transposes("encoder.conv2.weight")] == [MISTRAL, TRANSFORMERS]
    assert not MISTRAL.transposes("encoder.conv2.bias")
    assert not MISTRAL.transposes("adapter.w_in.weight")


def test_queries_and_keys_are_permuted_in_transformers_files_alone() -> None:
    assert TRANSFORMERS.permuted_heads(f"{QUERY}.weight", CONFIG) == CONFIG.decoder.head_dim == 24
    assert TRANSFORMERS.permuted_heads("encoder.layers.0.attention.q_proj.bias", CONFIG) == 32
    assert TRANSFORMERS.permuted_heads("encoder.layers.11.attention.k_proj.scales", CONFIG) == 32
    for other in ("attention.v_proj.weight", "attention.o_proj.weight", "mlp.up_proj.weight"):
        assert not TRANSFORMERS.permuted_heads(f"encoder.layers.0.{other}", CONFIG)
    for dialect in (VOXMLX, MISTRAL, MLX_AUDIO):
        assert not dialect.permuted_heads(f"{QUERY}.weight", CONFIG)


@pytest.mark.parametrize("tail", [(), (5,)])
def test_the_halves_of_a_head_are_its_even_and_its_odd_rows(tail: tuple[int, ...]) -> None:
    heads, head_dim = 3, 8
    pairs = np.random.default_rng(0).normal(size=(heads * head_dim, *tail))
    halves = halves_from_pairs(pairs, head_dim)
    for head in range(0, heads * head_dim, head_dim):
        even, odd = pairs[head : head + head_dim : 2], pairs[head + 1 : head + head_dim : 2]
        assert np.array_equal(halves[head : head + head_dim], np.concatenate([even, odd]))
    assert np.array_equal(pairs_from_halves(halves, head_dim), pairs)


@each_dialect
def test_layouts_go_both_ways(dialect: Dialect) -> None:
    changed = set()
    for name, ours in random_tensors(CONFIG).items():
        theirs = dialect.outward(name, ours, CONFIG)
        assert np.array_equal(dialect.inward(name, theirs, CONFIG), ours)
        assert np.array_equal(np.array(dialect.outward(name, mx.array(ours), CONFIG)), theirs)
        if not np.array_equal(theirs, ours):
            changed.add(re.sub(r"\d+", "#", name.rpartition(".")[0]))
    convolutions = {"encoder.conv#"} if dialect.transposed_convolutions else set()
    stacks = ("encoder", "language_model") if dialect is TRANSFORMERS else ()
    assert changed == convolutions | {f"{s}.layers.#.attention.{p}_proj" for s in stacks for p in "qk"}


@pytest.mark.parametrize("settings", MODES, ids=lambda s: f"{s['mode']} {s['bits']}")
def test_quantizing_permuted_rows_is_permuting_quantized_rows(settings: dict) -> None:
    weight = mx.random.normal((CONFIG.decoder.head_dim * 4, 128), key=mx.random.key(0))
    ours = mx.quantize(weight, **settings)
    theirs = mx.quantize(TRANSFORMERS.outward(f"{QUERY}.weight", weight, CONFIG), **settings)
    assert not np.array_equal(np.array(ours[0]), np.array(theirs[0]))
    for leaf, mine, other in zip(("weight", "scales", "biases"), ours, theirs, strict=False):
        name = f"{QUERY}.{leaf}"
        assert np.array_equal(np.array(TRANSFORMERS.outward(name, mine, CONFIG)), np.array(other))
        assert np.array_equal(np.array(TRANSFORMERS.inward(name, other, CONFIG)), np.array(mine))


def test_a_name_of_many_numbers_is_not_tried_with_each_of_them_as_the_layer() -> None:
    """Thousands of such names would take minutes."""
    assert len(list(_readings("0." * 200 + "weight"))) == 1
    assert len(list(_readings("encoder.layers.0.mlp.1.weight"))) == 3
