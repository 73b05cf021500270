"""Quantizing with feedback: laws that hold for any weights and any second moments."""

import hashlib
from itertools import pairwise

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from voxbuild.plan.work import ROUNDING_OPERATIONS
from voxbuild.tensors import feedback
from voxbuild.tensors.factor import NotPositiveError
from voxbuild.tensors.feedback import curvature, errors_of, round_rows, unpacked
from voxbuild.tensors.modes import MODES, Quantization
from voxbuild.tensors.quantize import cast, quantize_rows
from voxbuild.tensors.search import search_rows

DTYPES = ("BF16", "F16", "F32")
affine = MODES["affine"]
quantizations = st.builds(
    lambda bits, size: Quantization("affine", bits, size, "gptq"),
    st.sampled_from(affine.bits),
    st.sampled_from(affine.group_sizes),
)


def stored(rng, rows, columns, dtype, scale=0.02):
    """Weights with some columns far larger than others, in storage form."""
    values = rng.normal(0, scale, (rows, columns)) * np.exp(rng.normal(size=columns))
    return cast(values.astype(np.float32), "F32", dtype)


def second_moments(rng, columns, rank):
    """Of inputs that span `rank` directions."""
    inputs = rng.normal(size=(rank, columns)) * np.exp(2 * rng.normal(size=columns))
    return inputs.T @ inputs / rank


def in_full(parts, dtype, how):
    """What a loader computes of the parts, float32 [n, columns]."""
    scales, biases = (
        np.repeat(cast(parts[leaf], dtype, "F32"), how.group_size, 1) for leaf in ("scales", "biases")
    )
    return scales * unpacked(parts["weight"], how.bits) + biases


@settings(max_examples=60)
@given(
    how=quantizations,
    dtype=st.sampled_from(DTYPES),
    rows=st.integers(1, 40),
    groups=st.integers(1, 4),
    rank=st.sampled_from([1, 3, 50, 700]),
    seed=st.integers(0, 2**32 - 1),
)
def test_no_row_is_worse_than_by_plain_rounding(how, dtype, rows, groups, rank, seed):
    rng = np.random.default_rng(seed)
    columns = groups * how.group_size
    weights, values = stored(rng, rows, columns, dtype), None
    cost = curvature(second_moments(rng, columns, rank), 0.1, how.group_size)
    values = cast(weights, dtype, "F32")
    ours, plain = round_rows(weights, dtype, how, cost), quantize_rows(weights, dtype, how)
    errors = [errors_of(values, dtype, how, parts, cost) for parts in (ours, plain)]
    assert (errors[0] <= errors[1]).all()
    assert unpacked(ours["weight"], how.bits).max() < 2**how.bits
    assert np.isfinite(in_full(ours, dtype, how)).all()
    assert ours["scales"].dtype == plain["scales"].dtype == weights.dtype


def test_the_error_of_a_row_is_the_one_of_its_outputs():
    rng = np.random.default_rng(3)
    how, h = Quantization("affine", 3, 32), second_moments(rng, 96, 500)
    weights = stored(rng, 5, 96, "F32")
    parts = quantize_rows(weights, "F32", how)
    off = (weights - in_full(parts, "F32", how)).astype(np.float64)
    damped = h / h.diagonal().mean() + 0.1 * np.eye(96)
    expected = np.einsum("ij,jk,ik->i", off, damped, off)
    np.testing.assert_allclose(errors_of(weights, "F32", how, parts, curvature(h, 0.1, 32)), expected, 1e-4)


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_correlated_inputs_lose_far_less_than_with_the_other_searches(bits):
    rng = np.random.default_rng(bits)
    mix = rng.normal(size=(256, 256)) / 16 * np.exp(rng.normal(size=256))
    inputs = rng.normal(size=(600, 256)) @ mix
    h = inputs.T @ inputs / 600
    how, weights = Quantization("affine", bits, 64), stored(rng, 64, 256, "BF16")
    cost, values = curvature(h, 0.1, 64), cast(weights, "BF16", "F32")
    diagonal = h.diagonal().astype(np.float32)
    parts = round_rows(weights, "BF16", how, cost), search_rows(weights, "BF16", how, diagonal)
    ours, weighted = (errors_of(values, "BF16", how, each, cost).sum() for each in parts)
    assert ours < 0.75 * weighted


def test_a_row_does_not_depend_on_other_rows():
    rng = np.random.default_rng(5)
    how, weights = Quantization("affine", 3, 32), stored(rng, 75, 160, "BF16")
    cost = curvature(second_moments(rng, 160, 300), 0.1, 32)
    whole, order = round_rows(weights, "BF16", how, cost), rng.permutation(75)
    shuffled = round_rows(weights[order], "BF16", how, cost)
    chunks = [round_rows(weights[a:b], "BF16", how, cost) for a, b in pairwise([0, 1, 33, 70, 75])]
    for leaf, part in whole.items():
        np.testing.assert_array_equal(shuffled[leaf], part[order])
        np.testing.assert_array_equal(np.concatenate([chunk[leaf] for chunk in chunks]), part)


@pytest.mark.parametrize(
    "row", [np.zeros(64), np.full(64, 0.5), np.r_[np.zeros(63), 3.0e4], np.full(64, 6e-8)]
)
def test_rows_without_a_range_or_with_an_outlier_stay_finite(row):
    rng = np.random.default_rng(6)
    how = Quantization("affine", 2, 32)
    cost = curvature(second_moments(rng, 64, 10), 0.1, 32)
    weights = cast(np.tile(row, (3, 1)).astype(np.float32), "F32", "F16")
    values = cast(weights, "F16", "F32")
    ours, plain = round_rows(weights, "F16", how, cost), quantize_rows(weights, "F16", how)
    assert np.isfinite(in_full(ours, "F16", how)).all()
    errors = [errors_of(values, "F16", how, parts, cost) for parts in (ours, plain)]
    assert (errors[0] <= errors[1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -1e6])
def test_hostile_moments_are_refused(value):
    h = np.eye(64)
    h[3, 3] = value
    with pytest.raises(NotPositiveError):
        curvature(h, 0.1, 32)
    with pytest.raises(NotPositiveError):
        curvature(np.zeros((64, 64)), 0.1, 32)


def test_the_same_moments_give_the_same_bytes_on_any_machine():
    """The inputs are exact; what comes out of them was computed with and without AVX-512."""
    numbers = np.arange(96 * 200) * 7919 % 2003
    inputs = (numbers.reshape(200, 96) - 1001) / 1024
    weights = ((np.arange(40 * 96) * 104729 % 4001).reshape(40, 96) - 2000).astype(np.float32) / 2**16
    digests = []
    for bits in affine.bits:
        how = Quantization("affine", bits, 32)
        parts = round_rows(cast(weights, "F32", "BF16"), "BF16", how, curvature(_products(inputs), 0.125, 32))
        digests.append(hashlib.sha256(b"".join(part.tobytes() for part in parts.values())).hexdigest()[:12])
    assert digests == GOLDEN


def _products(inputs):
    """inputs^T inputs, exactly: all products are multiples of 2**-20 below 2**9."""
    whole = (inputs * 1024).astype(np.int64)
    return (whole.T @ whole) / 2.0**20 / len(inputs)


GOLDEN = ["ee0fc09b0a4d", "726e41a56a3d", "58ccfad9ea2b", "2bc8aa344fcc", "62071b666207", "41cb022eb712"]


def test_the_plan_counts_the_operations_that_there_are():
    assert ROUNDING_OPERATIONS == feedback.OPERATIONS
