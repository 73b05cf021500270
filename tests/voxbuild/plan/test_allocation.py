"""A budget becomes an ordinary recipe: within the limit, with what it must hold."""

import json

import pytest
import yaml
from small_sources import UPSTREAM_PARAMS, upstream_header

from voxbuild.errors import PlanError
from voxbuild.plan.allocation import candidates, file_bytes, matrices, plain_plan, resolved
from voxbuild.plan.compatibility import check_dialects
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.recipe import Recipe

HEADER = upstream_header()


def plan(recipe):
    return make_plan(recipe, HEADER, UPSTREAM_PARAMS)


@pytest.fixture(scope="module")
def with_budget(root):
    content = json.loads(read_book(root / "recipes").recipe("4bit").model_dump_json(by_alias=True))

    def make(bits, dialects=(), **section):
        quantize = {"mode": "affine", "group_size": 64, "search": "mse", "bits": bits, **section}
        changes = {"quantize": quantize, "calibrate": "calibration", "dialects": dialects}
        return Recipe.model_validate_json(json.dumps(content | changes))

    return make


@pytest.fixture(scope="module")
def costs(with_budget):
    """Costs that fall with bits, are different for each module, and lowest for the first layers."""
    recipe = with_budget({"average": 4}, group_sizes=[32, 64, 128])
    settings = candidates(recipe, matrices(plain_plan(recipe, plan)))
    return {
        module: {how: (1 + i % 40) * 4.4**-how.bits * how.group_size**0.5 for how in each if how}
        for i, (module, each) in enumerate(settings.items())
    }


@pytest.mark.parametrize(
    ("bits", "size"),
    [
        ({"average": 4}, 2_503_804_416),  # of 4bit
        ({"average": 3}, 1_951_147_520),  # of 3bit
        ({"budget": 4.5}, 2_491_694_640),
        ({"bytes": "2.2GB"}, 2_200_000_000),
    ],
)
def test_the_budget_is_filled_and_not_exceeded(with_budget, costs, bits, size):
    made = plan(resolved(with_budget(bits), plan, costs))
    found = file_bytes(made) if "bytes" in bits else made.nbytes
    assert size - 100_000 < found <= size


def test_the_result_is_a_recipe_that_gives_the_same_plan_when_it_is_frozen(with_budget, costs):
    recipe = with_budget({"budget": 3.7}, ["mlx-audio"], group_sizes=[32, 64, 128])
    found = resolved(recipe, plan, costs)
    frozen = Recipe.model_validate_json(
        json.dumps(
            yaml.safe_load(yaml.safe_dump(found.model_dump(mode="json", by_alias=True))) | {"calibrate": None}
        )
    )
    assert plan(frozen) == plan(found)
    check_dialects(frozen, plan(frozen))  # mlx-audio: nothing in ada_norm
    assert len(frozen.quantize.rules) < 440  # modules that agree share a rule


def test_rules_and_least_bits_hold(with_budget, costs):
    embedding = "language_model.embed_tokens"
    free = resolved(with_budget({"average": 2.5}), plan, costs)
    assert free.quantize.for_module(embedding).bits == 2
    recipe = with_budget(
        {"average": 2.5},
        widths=[4, 2, 3],
        least=[{"match": embedding, "bits": 4}],
        rules=[{"match": "adapter.*", "skip": True}, {"match": "encoder.layers.0.*", "bits": 6}],
    )
    by_module = {tensor.module: tensor.quantization for tensor in plan(resolved(recipe, plan, costs)).tensors}
    assert by_module[embedding].bits == 4
    assert by_module["adapter.w_out"] is None
    assert by_module["encoder.layers.0.mlp.up_proj"].bits == 6
    rest = {
        how.bits for module, how in by_module.items() if how and not module.startswith("encoder.layers.0.")
    }
    assert rest == {2, 3, 4}


def test_more_than_everything_needs_leaves_all_as_it_is(with_budget, costs):
    found = resolved(with_budget({"bytes": "100GB"}), plan, costs)
    assert found.quantize is None
    assert plan(found).bits_per_weight == 16


def test_too_small_a_budget_names_the_smallest(with_budget, costs):
    with pytest.raises(
        PlanError,
        match=r"1\.2 bits per weight is 664,451,904 bytes, .* settings allowed take 1,[\d,]+; raise",
    ):
        resolved(with_budget({"budget": 1.2}), plan, costs)


def test_a_pattern_without_a_module_is_an_error(with_budget, costs):
    wrong = with_budget({"average": 4}, least=[{"match": "language_model.head", "bits": 4}])
    with pytest.raises(PlanError, match=r"no matrix matches language_model\.head"):
        resolved(wrong, plan, costs)


def test_a_rule_below_the_least_bits_is_an_error(with_budget, costs):
    module = "adapter.w_out"
    wrong = with_budget(
        {"average": 4}, rules=[{"match": "adapter.*", "bits": 3}], least=[{"match": module, "bits": 4}]
    )
    with pytest.raises(PlanError, match=r"nothing is left for adapter\.w_out to choose from"):
        resolved(wrong, plan, costs)


def test_a_setting_that_was_not_measured_is_named(with_budget, costs):
    with pytest.raises(PlanError, match=r"not measured with affine 2 bit / 64;"):
        resolved(with_budget({"average": 4}, search="none"), plan, costs)
