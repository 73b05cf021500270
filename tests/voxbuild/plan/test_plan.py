"""Plans at the upstream's full size, from its header alone."""

import dataclasses
import itertools
import json
import math

import pytest
from budgets import settled
from small_sources import UPSTREAM_PARAMS, header_of, make_header, params_of, upstream_header

from voxbuild.errors import PlanError
from voxbuild.plan.planner import Plan, make_plan, shard_name
from voxbuild.plan.unquantized import unquantized, unquantized_table
from voxbuild.recipes.book import read_book
from voxbuild.recipes.quantization import Quantize
from voxbuild.recipes.recipe import Recipe
from voxbuild.tensors.modes import Quantization
from voxrun.checkpoint.tensors import Tensor
from voxrun.errors import ConfigError

HEADER = upstream_header()


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


@pytest.fixture(scope="module")
def recipe(book):
    return book.recipe("4bit")


@pytest.fixture(scope="module")
def plan(recipe):
    return make_plan(recipe, HEADER, UPSTREAM_PARAMS)


def at_full_size(recipe: Recipe) -> Plan:
    return make_plan(recipe, HEADER, UPSTREAM_PARAMS)


def changed(recipe: Recipe, **sections) -> Recipe:
    """The recipe with some sections replaced, checked like a file."""
    content = recipe.model_dump(mode="json", by_alias=True) | sections
    return Recipe.model_validate_json(json.dumps(content))


def test_the_stored_header_is_its_scripts_output():
    assert {t.name: list(t.shape) for t in HEADER} == dict(make_header.header(UPSTREAM_PARAMS))


def test_the_upstream_at_four_bits(plan):
    assert len(plan.tensors) == 711
    quantized = [t for t in plan.tensors if t.quantization]
    assert len(quantized) == 435
    assert {t.quantization for t in quantized} == {Quantization("affine", 4, 64)}
    assert plan.parameters == sum(t.size for t in HEADER)
    assert round(plan.bits_per_weight, 3) == 4.522


def test_a_matrix_is_quantized_where_its_rows_are_whole_groups(plan):
    by_name = {t.name: t for t in plan.tensors}
    assert by_name["language_model.layers.7.ada_norm.linear_in.weight"].quantization
    assert not by_name["language_model.layers.7.ada_norm.linear_out.weight"].quantization
    assert not by_name["encoder.conv1.weight"].quantization
    assert not by_name["language_model.norm.weight"].quantization
    assert not by_name["encoder.layers.0.mlp.down_proj.bias"].quantization
    assert by_name["language_model.embed_tokens.weight"].quantization


def test_only_convolutions_are_transposed(plan):
    transposed = {t.name: t.shape for t in plan.tensors if t.transpose}
    assert transposed == {"encoder.conv1.weight": (1280, 3, 128), "encoder.conv2.weight": (1280, 3, 1280)}


@pytest.mark.slow
def test_every_recipe_plans_at_full_size(book):
    for recipe in book.recipes.values():
        plan = make_plan(settled(recipe, at_full_size), HEADER, UPSTREAM_PARAMS)
        assert len(plan.tensors) == 711
        bits = {o.quantization.bits if o.quantization else 16 for o in plan.tensors}
        assert min(bits) <= plan.bits_per_weight < max(bits - {16} or {16}) + 1.2
        names = [o.name for tensors in plan.shards.values() for t in tensors for o in t.outputs]
        assert len(names) == len(set(names))
        assert set(names) == plan.index()["weight_map"].keys()


@pytest.mark.parametrize("max_size", ["5GB", "1GB", "100MB", "1MB"])
@pytest.mark.parametrize("name", ["4bit", "bf16"])
def test_shards_keep_to_the_limit_and_are_never_empty(book, name, max_size):
    recipe = changed(book.recipe(name), shards={"max_size": max_size})
    plan = make_plan(recipe, HEADER, UPSTREAM_PARAMS)
    shards, limit = plan.shards, recipe.shards.max_bytes
    assert list(shards) == [shard_name(i, len(shards)) for i in range(len(shards))]
    assert [t for tensors in shards.values() for t in tensors] == list(plan.tensors)
    sizes = [sum(t.nbytes for t in tensors) for tensors in shards.values()]
    assert sum(sizes) == plan.nbytes
    for tensors, size in zip(shards.values(), sizes, strict=True):
        assert tensors
        assert size <= limit or len(tensors) == 1
    for size, following in zip(sizes, list(shards.values())[1:], strict=False):
        assert size + following[0].nbytes > limit, "a shard was closed too early"


def test_shard_names():
    assert shard_name(0, 1) == "model.safetensors"
    assert [shard_name(i, 2) for i in range(2)] == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_tensors_are_sorted_by_source_name_module_by_module(plan):
    sources = [t.source for t in plan.tensors]
    assert sources == sorted(sources)
    modules = [module for module, _ in itertools.groupby(t.module for t in plan.tensors)]
    assert len(modules) == len(set(modules))
    outputs = [
        o.name for t in plan.tensors for o in t.outputs if t.module == "encoder.layers.0.mlp.down_proj"
    ]
    down = "encoder.layers.0.mlp.down_proj"
    assert outputs == [f"{down}.bias", f"{down}.weight", f"{down}.scales", f"{down}.biases"]


SMALL = params_of()
SMALL_HEADER = header_of(SMALL)


def refused(recipe, header, params=SMALL):
    with pytest.raises(PlanError) as caught:
        make_plan(recipe, header, params)
    return str(caught.value)


def test_missing_tensors_are_named(recipe):
    header = [t for t in SMALL_HEADER if t.name != "layers.1.attention.wq.weight"]
    expected = "tensors are missing from the checkpoint: layers.1.attention.wq.weight"
    assert refused(recipe, header) == expected
    few = refused(recipe, SMALL_HEADER[:1])
    assert few.endswith(f"layers.0.attention.wo.weight and {len(SMALL_HEADER) - 6} more")


def test_unknown_tensors_are_named(recipe):
    assert "mistral has no name for: lm.extra" in refused(
        recipe, [*SMALL_HEADER, Tensor("lm.extra", "BF16", (1,))]
    )
    beyond = Tensor("layers.2.attention.wq.weight", "BF16", (128, 128))
    assert "tensors that do not fit params.json: layers.2.attention.wq.weight" in refused(
        recipe, [*SMALL_HEADER, beyond]
    )
    bias = Tensor("layers.0.attention.wq.bias", "BF16", (128,))
    assert "do not fit params.json: layers.0.attention.wq.bias" in refused(recipe, [*SMALL_HEADER, bias])


def test_a_tensor_under_two_names_is_refused(recipe):
    bare = Tensor("tok_embeddings.weight", "BF16", (160, 128))
    said = refused(recipe, [*SMALL_HEADER, bare])
    assert "language_model.embed_tokens.weight twice" in said
    assert "mm_streams_embeddings.embedding_module.tok_embeddings.weight" in said


def test_a_tied_head_is_ignored(recipe):
    head = Tensor("output.weight", "BF16", (160, 128))
    assert make_plan(recipe, [*SMALL_HEADER, head], SMALL) == make_plan(recipe, SMALL_HEADER, SMALL)


@pytest.mark.parametrize(
    ("name", "shape", "wanted"),
    [
        ("layers.0.feed_forward.w2.weight", (192, 128), "[128, 192]"),
        ("norm.weight", (64,), "[128]"),
        ("norm.weight", (1, 128), "[128]"),
        (
            "mm_streams_embeddings.embedding_module.whisper_encoder.conv_layers.0.conv.weight",
            (64, 3, 128),
            "[64, 3, 128]",
        ),
        (
            "mm_streams_embeddings.embedding_module.whisper_encoder.conv_layers.0.conv.weight",
            (64, 384),
            "[64, 3, 128]",
        ),
    ],
)
def test_misshapen_tensors_are_named_with_both_shapes(recipe, name, shape, wanted):
    header = [dataclasses.replace(t, shape=shape) if t.name == name else t for t in SMALL_HEADER]
    said = refused(recipe, header)
    assert said.startswith(f"tensors have the wrong shape: {name} is [")
    assert said.endswith(f"but {wanted} by params.json")


def test_params_without_a_key_are_reported(recipe):
    params = {key: value for key, value in SMALL.items() if key != "hidden_dim"}
    with pytest.raises(ConfigError, match="hidden_dim"):
        make_plan(recipe, SMALL_HEADER, params)


def test_the_config_holds_params_and_the_quantization(plan):
    assert plan.config == UPSTREAM_PARAMS | {"quantization": {"bits": 4, "group_size": 64}}


def test_the_config_of_the_mixed_recipe_lists_overrides_by_path(book):
    config = make_plan(book.recipe("mixed-4-6"), HEADER, UPSTREAM_PARAMS).config["quantization"]
    assert (config.pop("bits"), config.pop("group_size")) == (4, 64)
    skipped = {path for path, said in config.items() if said is False}
    config = {path: said for path, said in config.items() if path not in skipped}
    assert skipped == {f"language_model.layers.{i}.ada_norm.linear_in" for i in range(26)}
    assert set(map(json.dumps, config.values())) == {'{"bits": 6, "group_size": 64}'}
    layers = [f"encoder.layers.{i}" for i in range(32)] + [f"language_model.layers.{i}" for i in range(26)]
    leaves = [f"{layer}.{leaf}" for layer in layers for leaf in ("attention.v_proj", "mlp.down_proj")]
    assert config.keys() == {"language_model.embed_tokens", "adapter.w_in", "adapter.w_out", *leaves}


def test_modes_other_than_affine_are_named_in_the_config(book):
    config = make_plan(book.recipe("mxfp4"), HEADER, UPSTREAM_PARAMS).config["quantization"]
    default = {key: value for key, value in config.items() if value is not False}
    assert default == {"bits": 4, "group_size": 32, "mode": "mxfp4"}
    assert "quantization" not in make_plan(book.recipe("bf16"), HEADER, UPSTREAM_PARAMS).config


def test_skipped_modules_and_newly_fitting_ones_are_in_the_config(recipe):
    rules = [
        {"match": "language_model.embed_tokens", "skip": True},
        {"match": "*.linear_out", "group_size": 32},  # 32 columns: no group of 64
    ]
    quantize = Quantize(bits=4, group_size=64).model_dump() | {"rules": rules}
    plan = make_plan(changed(recipe, quantize=quantize), SMALL_HEADER, SMALL)
    config = plan.config["quantization"]
    assert config["language_model.embed_tokens"] is False
    assert config["language_model.layers.1.ada_norm.linear_out"] == {"bits": 4, "group_size": 32}
    by_name = {t.name: t for t in plan.tensors}
    assert by_name["language_model.layers.1.ada_norm.linear_out.weight"].quantization.group_size == 32


def test_a_search_does_not_change_the_config(recipe):
    """Loaders read config.json; to them the artifact is like any other."""
    rules = [{"match": "adapter.*", "search": "none"}, {"match": "*.mlp.*", "bits": 6, "search": "mse"}]
    quantize = {"bits": 4, "group_size": 64, "search": "mse"}
    plan = make_plan(changed(recipe, quantize=quantize | {"rules": rules[:1]}), SMALL_HEADER, SMALL)
    assert plan.config["quantization"] == {"bits": 4, "group_size": 64}
    plan = make_plan(changed(recipe, quantize=quantize | {"rules": rules}), SMALL_HEADER, SMALL)
    assert {json.dumps(entry) for path, entry in plan.config["quantization"].items() if ".mlp." in path} == {
        '{"bits": 6, "group_size": 64}'
    }


@pytest.mark.slow
def test_the_digest_depends_on_what_will_be_written(recipe, plan):
    digest = plan.digest()
    same = changed(recipe, summary="Other words.", validate={"clips": ["digits"], "gates": {}})
    assert make_plan(same, HEADER, UPSTREAM_PARAMS).digest() == digest
    for section in (
        {"quantize": {"bits": 5, "group_size": 64}},
        {"quantize": {"bits": 4, "group_size": 32}},
        {"quantize": {"bits": 4, "group_size": 64, "search": "mse"}},
        {"quantize": {"bits": 4, "group_size": 64, "rules": [{"match": "adapter.w_in", "bits": 6}]}},
        {"dtype": "float16"},
        {"shards": {"max_size": "1GB"}},
    ):
        assert make_plan(changed(recipe, **section), HEADER, UPSTREAM_PARAMS).digest() != digest
    assert make_plan(recipe, HEADER, UPSTREAM_PARAMS | {"norm_eps": 1e-6}).digest() != digest


LATER = {"match": "*.attention.v_proj", "bits": 6}


@pytest.mark.parametrize(
    ("rules", "number", "why"),
    [
        ([{"match": "*", "bits": 8}, LATER], 2, "rules before it decide for all its modules; move it up, or"),
        ([LATER, LATER], 1, "without it all is the same"),
        ([{"match": "*.v_proj", "bits": 4}], 1, "without it all is the same; change it, or"),
        ([{"match": "*.v_proj", "group_size": 64, "search": "none"}], 1, "without it all is the same"),
        ([LATER, {"match": "*.norm", "skip": True}], 2, "without it all is the same"),
        ([{"match": "*.ada_norm.linear_out", "bits": 6}], 1, "without it all is the same"),  # 32 columns
        ([LATER, {"match": "*.v_*", "bits": 4}, {"match": "*.k_*", "bits": 8}], 2, "rules before it"),
    ],
)
def test_a_rule_without_effect_is_refused(recipe, rules, number, why):
    idle = changed(recipe, quantize={"bits": 4, "group_size": 64, "rules": rules})
    said = refused(idle, SMALL_HEADER)
    match = rules[number - 1]["match"]
    assert f"4bit.yaml: quantize.rules: number {number}, with match {match}, has no effect: {why}" in said


def test_a_rule_that_is_an_exception_from_a_later_one_has_effect(recipe):
    rules = [{"match": "*.attention.v_proj", "bits": 4}, {"match": "*.attention.*", "bits": 8}]
    plan = make_plan(
        changed(recipe, quantize={"bits": 4, "group_size": 64, "rules": rules}), SMALL_HEADER, SMALL
    )
    bits = {t.module.rpartition(".")[2]: t.quantization.bits for t in plan.tensors if t.quantization}
    assert (bits["v_proj"], bits["k_proj"]) == (4, 8)


def test_quantization_of_no_module_is_refused(recipe):
    narrow = params_of(dim=64, hidden=64, heads=2, encoder_dim=16)
    recipe = changed(recipe, quantize={"bits": 4, "group_size": 128})
    with pytest.raises(PlanError, match="quantize: applies to no module: no row is whole groups of 128"):
        make_plan(recipe, header_of(narrow), narrow)
    nothing = {"bits": 4, "group_size": 64, "rules": [{"match": "*", "skip": True}]}
    assert "quantize: applies to no module" in refused(changed(recipe, quantize=nothing), SMALL_HEADER)


def test_what_stays_unquantized_is_summed_with_its_reason(recipe):
    rules = [{"match": "*.v_proj", "skip": True}, {"match": "adapter.*", "bits": 8, "group_size": 32}]
    recipe = changed(recipe, dtype="float16", quantize={"bits": 4, "group_size": 128, "rules": rules})
    plan = make_plan(recipe, SMALL_HEADER, SMALL)
    rows = unquantized(recipe, plan)
    plain = [t for t in plan.tensors if t.quantization is None]
    assert sum(row["tensors"] for row in rows) == len(plain)
    assert sum(row["parameters"] for row in rows) == sum(math.prod(t.shape) for t in plain)
    assert {row["dtype"] for row in rows} == {"F16"}
    whys = {row["why"] for row in rows if row["kind"] == "encoder attention"}
    assert whys == {
        "not a matrix",
        "skipped by the rule with match *.v_proj",
        "rows of 64 weights are not whole groups of 128",
    }
    (down,) = (row for row in rows if row["kind"] == "decoder mlp")
    assert (down["why"], down["tensors"]) == ("rows of 192 weights are not whole groups of 128", 2)
    assert len(unquantized_table(rows).splitlines()) < 14
    assert unquantized(changed(recipe, quantize=None), plan) == []


def test_a_rule_that_matches_no_module_is_reported(recipe):
    rules = [{"match": "*.atention.v_proj", "bits": 6}]
    mistyped = changed(recipe, quantize=recipe.quantize.model_dump() | {"rules": rules})
    assert "4bit.yaml: no module matches the rule with match *.atention.v_proj" in refused(
        mistyped, SMALL_HEADER
    )
