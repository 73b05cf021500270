"""Which loader reads which plan: the loaders' rules against plans at the upstream's full size."""

import copy
import json

import pytest
from budgets import settled
from small_sources import UPSTREAM_PARAMS, header_of, params_of, upstream_header

from voxbuild.errors import PlanError, RecipeError
from voxbuild.plan.compatibility import check_dialects, dialect_lines
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.recipes.loaders import LOADERS
from voxbuild.recipes.recipe import Recipe
from voxbuild.recipes.schema import load

PLAIN = {"match": "*.ada_norm.*", "skip": True}
EMBEDDING = "language_model.embed_tokens"


@pytest.fixture(scope="module")
def book(root):
    return read_book(root / "recipes")


def recipe_of(book, dialect, quantize):
    content = book.recipe("bf16").model_dump(mode="json", by_alias=True)
    return Recipe.model_validate_json(json.dumps(content | {"dialects": [dialect], "quantize": quantize}))


def quantize(bits=4, group_size=64, mode="affine", rules=()):
    return {"mode": mode, "bits": bits, "group_size": group_size, "rules": list(rules)}


def checked(book, dialect, quantize=None, params=None):
    params = params or params_of()
    recipe = recipe_of(book, dialect, quantize)
    check_dialects(recipe, make_plan(recipe, header_of(params), params))


@pytest.mark.slow
def test_every_recipe_fits_its_loaders_at_full_size(book):
    header = upstream_header()

    def make(recipe):
        return make_plan(recipe, header, UPSTREAM_PARAMS)

    for recipe in book.recipes.values():
        assert recipe.dialects, recipe.name
        ordinary = settled(recipe, make)
        check_dialects(ordinary, make(ordinary))


@pytest.mark.parametrize(
    ("dialect", "how"),
    [
        ("voxmlx", None),
        ("voxmlx", quantize()),
        ("voxmlx", quantize(bits=3, group_size=32)),
        ("mlx-audio", None),
        ("mlx-audio", quantize(rules=[PLAIN])),
        ("mlx-audio", quantize(mode="nvfp4", group_size=16, rules=[PLAIN])),
        ("mlx-audio", quantize(rules=[PLAIN, {"match": EMBEDDING, "bits": 8}])),
        ("mlx-audio", quantize(rules=[PLAIN, {"match": EMBEDDING, "skip": True}])),
        ("transformers", None),
    ],
)
def test_a_plan_that_the_loader_reads_passes(book, dialect, how):
    checked(book, dialect, how)


@pytest.mark.parametrize(
    ("dialect", "how", "message"),
    [
        (
            "voxmlx",
            quantize(mode="mxfp4", group_size=32),
            r"adapter\.w_in is quantized as mxfp4 4 bit / 32; it reads affine only \(and \d+ more\)$",
        ),
        (
            "voxmlx",
            quantize(rules=[{"match": EMBEDDING, "bits": 6}]),
            rf"{EMBEDDING} is quantized as affine 6 bit / 64; all must have the default, 4 bit / 64$",
        ),
        (
            "voxmlx",
            quantize(rules=[{"match": EMBEDDING, "skip": True}]),
            rf"{EMBEDDING} is not quantized; every matrix that can be must be$",
        ),
        (
            "voxmlx",
            quantize(rules=[PLAIN]),
            r"0\.ada_norm\.linear_in is not quantized; every matrix that can be must be \(and 1 more\)$",
        ),
        (
            "mlx-audio",
            quantize(),
            r"layers\.0\.ada_norm\.linear_in is quantized; modules with `ada_rms_norm` in their path"
            r" \(decoder\.layers\.0\.ada_rms_norm_t_cond\.ada_down\) must not be \(and 1 more\)$",
        ),
        (
            "mlx-audio",
            quantize(group_size=128, rules=[PLAIN, {"match": "encoder.*.q_proj", "group_size": 32}]),
            r"encoder\.layers\.0\.attention\.q_proj is quantized as affine 4 bit / 32;"
            r" its rows are not whole groups of the default 128$",
        ),
        ("transformers", quantize(), r"adapter\.w_in is quantized; nothing may be"),
    ],
)
def test_a_plan_that_it_cannot_read_is_refused_by_dialect_module_and_rule(book, dialect, how, message):
    with pytest.raises(PlanError, match=rf"^bf16\.yaml: dialects: {dialect} cannot read it: .*{message}"):
        checked(book, dialect, how)


@pytest.mark.parametrize(
    ("dialect", "change", "message"),
    [
        (
            "transformers",
            {"ada_rms_norm_t_cond_dim": 16},
            r"decoder\.ada_dim is 16; its code has a fixed 32",
        ),
        ("voxmlx", {"sliding_window": 9000}, r"decoder\.sliding_window is 9000; its code has a fixed 8192"),
    ],
)
def test_sizes_that_a_loader_hard_codes_must_match(book, dialect, change, message):
    params = copy.deepcopy(params_of()) | change
    header = header_of(params)
    with pytest.raises(PlanError, match=message):
        recipe = recipe_of(book, dialect, None)
        check_dialects(recipe, make_plan(recipe, header, params))


def test_two_sizes_with_one_key_must_agree(book):
    params = params_of()
    params["multimodal"]["whisper_model_args"]["encoder_args"]["n_kv_heads"] = 2
    with pytest.raises(
        PlanError, match=r"encoder\.n_heads and encoder\.n_kv_heads differ; it has only one key"
    ):
        checked(book, "transformers", params=params)


def test_the_plan_has_a_line_for_each_loader(book):
    recipe = recipe_of(book, "voxmlx", quantize())
    lines = dialect_lines(recipe, make_plan(recipe, header_of(params_of()), params_of())).splitlines()
    assert [line.split()[0] for line in lines] == list(LOADERS)
    assert lines[0] == "voxmlx can read it: the artifact itself"
    assert lines[1].startswith("mlx-audio cannot read it: language_model.layers.0.ada_norm.linear_in is")
    unquantized = recipe_of(book, "voxmlx", None)
    lines = dialect_lines(unquantized, make_plan(unquantized, header_of(params_of()), params_of()))
    assert "transformers can read it: bf16.transformers, if `dialects:` says transformers" in lines


def test_the_plan_says_how_far_a_loader_is_right_that_ignores_a_short_window(book):
    params = params_of() | {"sliding_window": 250}
    recipe = recipe_of(book, "voxmlx", quantize())
    plan = make_plan(recipe, header_of(params), params)
    check_dialects(recipe, plan)
    assert dialect_lines(recipe, plan).splitlines()[0] == (
        "voxmlx can read it: the artifact itself; it is right up to position 250 (20 s):"
        " decoder.sliding_window is 250, its code has a fixed 8192"
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            "[voxmlx, mlxaudio]",
            r"4bit\.yaml:8: dialects\.1: unknown dialect mlxaudio; known: voxmlx, mlx-audio",
        ),
        ("[voxmlx, voxmlx]", r"4bit\.yaml:8: dialects\.1: voxmlx is listed twice"),
    ],
)
def test_a_mistyped_dialect_is_reported(root, tmp_path, said, message):
    text = (root / "recipes/4bit.yaml").read_text()
    (tmp_path / "4bit.yaml").write_text(text.replace("dialects: [voxmlx]", f"dialects: {said}"))
    with pytest.raises(RecipeError, match=message):
        load(tmp_path / "4bit.yaml", Recipe)
