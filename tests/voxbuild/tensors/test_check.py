"""Rows of any magnitude: what is stored is finite and near them, or an error names the group."""

import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_quantize import HOW, MX, as_mlx, dtypes, finite, modes, stored

from voxbuild.errors import ConvertError
from voxbuild.tensors.check import Place, check_cast, check_quantized
from voxbuild.tensors.methods import METHODS
from voxbuild.tensors.modes import MODES, Quantization
from voxbuild.tensors.quantize import cast
from voxrun.device import mx

PLACE = Place("layers.7.w", 100)
GROUP = re.compile(r"layers\.7\.w: row (\d+), group (\d+) ")
COLUMNS = 256
SEARCHED = [Quantization("affine", bits, 64, "mse") for bits in MODES["affine"].bits]
SEARCHED += [Quantization("affine", bits, 64, "activation") for bits in (2, 4, 8)]
all_ways = pytest.mark.parametrize(
    "how", [how for how in HOW if how.group_size != 128] + SEARCHED, ids=lambda h: h.in_words
)


def quantized(rows, dtype, how):
    moments = np.geomspace(1e-6, 1e6, rows.shape[1], dtype=np.float32)
    return METHODS[how.search].quantize(rows, dtype, how, moments if how.search == "activation" else None)


def read_back(parts, dtype, how):
    """The rows as MLX dequantizes them, in float32."""
    packed, scales, biases = mx.array(parts["weight"]), mx.array(parts["scales"]), None
    if "biases" in parts:
        scales, biases = as_mlx(parts["scales"], dtype), as_mlx(parts["biases"], dtype)
    read = mx.dequantize(packed, scales, biases, how.group_size, how.bits, how.mode, stream=mx.cpu)
    return np.array(read.astype(MX[dtype], stream=mx.cpu).astype(mx.float32, stream=mx.cpu))


def wrong_groups(rows, dtype, how, parts):
    """Whether each group is read back as numbers that are not finite, or far from its weights."""
    groups = len(rows), -1, how.group_size
    weights = cast(rows, dtype, "F32").astype(np.float64).reshape(groups)
    read = read_back(parts, dtype, how).astype(np.float64).reshape(groups)
    most = np.abs(weights).max(-1, keepdims=True)
    least = 1e-5 if "biases" in parts else 2**-7
    share = 0.75 if how.search == "none" else 1.0  # a search may cut off a weight that hardly matters
    with np.errstate(invalid="ignore"):
        return ~(np.abs(read - weights) <= share * most + least).all(-1)


def check(rows, dtype, how):
    """The error names the first group that is wrong; without one, all are right."""
    parts = quantized(rows, dtype, how)
    wrong = wrong_groups(rows, dtype, how, parts)
    try:
        check_quantized(rows, dtype, how, parts, PLACE)
    except ConvertError as error:
        row, group = map(int, GROUP.match(str(error)).groups())
        assert not wrong[: row - 100].any()
        assert not wrong[row - 100, :group].any()
        assert wrong[row - 100, group]
    else:
        assert not wrong.any()


@all_ways
@settings(max_examples=40)
@given(
    dtype=st.sampled_from(sorted(MX)),
    exponents=st.lists(st.integers(-150, 128), min_size=1, max_size=4),
    spread=st.sampled_from([0, 1, 8, 300]),
    signs=st.sampled_from([(1,), (-1,), (-1, 0, 1)]),
    seed=st.integers(0, 2**32 - 1),
)
@example(dtype="BF16", exponents=[-121], spread=0, signs=(-1, 0, 1), seed=0)  # 3e-37: mxfp8's scales wrap
@example(dtype="BF16", exponents=[128], spread=0, signs=(-1, 0, 1), seed=0)
@example(dtype="F16", exponents=[16], spread=0, signs=(-1, 0, 1), seed=0)
@example(dtype="F16", exponents=[0, 20], spread=300, signs=(-1, 0, 1), seed=0)  # codes at an end unused
def test_any_magnitude_is_stored_nearly_or_refused(how, dtype, exponents, spread, signs, seed):
    rng = np.random.default_rng(seed)
    base = rng.choice(exponents, (4, COLUMNS // 64)).repeat(64, 1)
    powers = np.clip(base - rng.integers(0, spread + 1, base.shape), -149, 127.999)
    values = rng.choice(signs, base.shape) * np.exp2(powers) * rng.uniform(0.5, 1, base.shape)
    check(stored(values, dtype), dtype, how)


@all_ways
@settings(max_examples=20)
@given(dtype=st.sampled_from(sorted(MX)), seed=st.integers(0, 2**32 - 1), few=st.integers(1, 6))
def test_any_bits_are_stored_nearly_or_refused(how, dtype, seed, few):
    rng = np.random.default_rng(seed)
    width = np.uint32 if dtype == "F32" else np.uint16
    palette = rng.integers(0, np.iinfo(width).max, few, width, endpoint=True)
    check(finite(rng.choice(palette, (4, COLUMNS)).astype(width), dtype), dtype, how)


@modes
@dtypes
def test_ordinary_weights_are_never_refused(dtype, how):
    rng = np.random.default_rng(0)
    scales = 2.0 ** rng.integers(-12, 3, (16, 1))
    for values in (
        rng.normal(0, scales, (16, COLUMNS)),
        rng.standard_t(2, (16, COLUMNS)) * scales,
        scales * 0,
    ):
        rows = stored(np.broadcast_to(np.clip(values, -500, 500), (16, COLUMNS)), dtype)
        check_quantized(rows, dtype, how, quantized(rows, dtype, how), PLACE)


def test_an_error_says_where_what_and_how_to_go_on():
    values = np.zeros((3, 128), np.float32)
    values[1, 70], values[1, 71] = 3e38, -3e38
    how = Quantization("affine", 4, 64)
    rows = stored(values, "BF16")
    with pytest.raises(ConvertError) as raised:
        check_quantized(rows, "BF16", how, quantized(rows, "BF16", how), PLACE)
    assert str(raised.value) == (
        "layers.7.w: row 101, group 1 (columns 64 to 127): weights from -3e+38 to 3e+38 do not fit"
        " affine 4 bit / 64 in BF16: they would be read as up to inf; repair them, give the module a rule"
        " with `skip: true`, or choose another mode or a dtype of larger range"
    )


def test_a_cast_weight_that_does_not_fit_is_named_by_its_row():
    rows = np.zeros((3, 4), np.float32)
    rows[2, 1] = 1e6
    with pytest.raises(ConvertError, match=r"^layers\.7\.w: .* as F16: in row 102 it is 1e\+06; repair"):
        check_cast(rows, "F32", cast(rows, "F32", "F16"), "F16", PLACE)
    rows[2, 1] = np.nan
    with pytest.raises(ConvertError, match=r"as F32: in row 102; the source is damaged"):
        check_cast(rows, "F32", rows, "F32", PLACE)
