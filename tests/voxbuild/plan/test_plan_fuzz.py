"""Any header, legal or not, gives a plan with every tensor of the model, or one sentence."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_sources import params_of

from voxbuild.errors import PlanError
from voxbuild.plan.planner import make_plan
from voxbuild.recipes.book import read_book
from voxbuild.tensors.naming import PREFIXES
from voxrun.checkpoint.config import ModelConfig
from voxrun.checkpoint.dialects import DIALECTS, MISTRAL
from voxrun.checkpoint.tensors import ITEM_SIZE, MAX_NAME, Tensor
from voxrun.errors import ConfigError
from voxrun.model.voxtral import parameter_shapes

PARAMS = params_of()
CONFIG = ModelConfig.from_dict(PARAMS)
SHAPES = parameter_shapes(CONFIG)
NAMES = st.one_of(
    st.text(max_size=MAX_NAME),
    st.sampled_from(
        ["output.weight", "lm_head.weight", "step", "norm.scales", "layers.99999999999.wq.weight"]
    ),
)


def legal(dialect, prefix, dtype):
    """The header of a whole model."""
    header = []
    for name, shape in sorted(SHAPES.items()):
        stored = (shape[0], shape[2], shape[1]) if dialect.transposes(name) else shape
        header.append(Tensor(prefix + dialect.native(name), dtype, stored))
    return header


@st.composite
def headers(draw):
    """A legal header, with up to four tensors renamed, dropped, added, or of another dtype or shape."""
    prefix = "".join(draw(st.lists(st.sampled_from(PREFIXES), max_size=2)))
    header = legal(
        draw(st.sampled_from(DIALECTS)), prefix, draw(st.sampled_from(["BF16", "F16", "F32", "F64"]))
    )
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, max(0, len(header) - 1)))
        one = header[place] if header else Tensor("x", "F32", (1,))
        shape = tuple(draw(st.lists(st.integers(0, 300), max_size=4)))
        change = draw(st.sampled_from(["rename", "prefix", "drop", "add", "dtype", "shape", "double"]))
        header[place : place + 1] = {
            "rename": [Tensor(draw(NAMES), one.dtype, one.shape)],
            "prefix": [Tensor(draw(st.sampled_from(PREFIXES)) + one.name, one.dtype, one.shape)],
            "drop": [],
            "add": [one, Tensor(draw(NAMES), draw(st.sampled_from(list(ITEM_SIZE))), shape)],
            "dtype": [Tensor(one.name, draw(st.sampled_from(list(ITEM_SIZE))), one.shape)],
            "shape": [Tensor(one.name, one.dtype, shape)],
            "double": [
                one,
                Tensor(MISTRAL.native(draw(st.sampled_from(sorted(SHAPES)))), one.dtype, one.shape),
            ],
        }[change]
    return header


@pytest.fixture(scope="module")
def recipes(root):
    return [read_book(root / "recipes").recipe(name) for name in ("4bit", "mixed-4-6", "mxfp8", "bf16")]


@pytest.mark.slow
@settings(max_examples=500, suppress_health_check=list(HealthCheck))
@given(header=headers(), number=st.integers(0, 3))
def test_any_header_gives_a_plan_or_one_sentence(recipes, header, number):
    try:
        plan = make_plan(recipes[number], header, PARAMS)
    except (PlanError, ConfigError) as error:
        said = str(error)
        assert said.isprintable() and 20 < len(said) < 2000
    else:
        assert {tensor.name: tensor.shape for tensor in plan.tensors} == SHAPES
        assert {tensor.source for tensor in plan.tensors} <= {tensor.name for tensor in header}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("prefix", ["", *PREFIXES])
def test_every_dialect_with_every_prefix_is_planned(recipes, dialect, prefix):
    plan = make_plan(recipes[0], legal(dialect, prefix, "F16"), PARAMS)
    assert {tensor.name: tensor.shape for tensor in plan.tensors} == SHAPES
