"""Searched scales and biases are never worse than plain rounding, for any split into rows."""

import os
import subprocess
import sys

import mlx.core as mx
import numpy as np
import pytest

from voxbuild.tensors.modes import MODES, Quantization
from voxbuild.tensors.search import column_weights, search_rows

MX = {"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}
AFFINE = MODES["affine"]
HOW = [Quantization("affine", b, g, "mse") for b in AFFINE.bits for g in AFFINE.group_sizes]
FOUR = Quantization("affine", 4, 64, "mse")
LARGEST = 65504.0
ROWS, COLUMNS = 11, 384


def stored(values, dtype="BF16"):
    """Float values as they stand in a file."""
    array = mx.array(np.asarray(values, np.float32)).astype(MX[dtype])
    return np.array(array.view(mx.uint16) if dtype == "BF16" else array)


def loaded(rows, dtype):
    """What stands in a file, as MLX sees it."""
    return mx.array(rows).view(mx.bfloat16) if dtype == "BF16" else mx.array(rows)


def floats(rows, dtype):
    return np.array(loaded(rows, dtype).astype(mx.float32)).astype(np.float64)


def dequantized(parts, dtype, how):
    """What a loader computes in float32."""
    scales, biases = (loaded(parts[leaf], dtype).astype(mx.float32) for leaf in ("scales", "biases"))
    return np.array(mx.dequantize(mx.array(parts["weight"]), scales, biases, how.group_size, how.bits))


def plain(rows, dtype, how):
    """MLX's own quantization, in storage form."""
    parts = mx.quantize(loaded(rows, dtype), how.group_size, how.bits, stream=mx.cpu)
    views = [part.view(mx.uint16) if part.dtype == mx.bfloat16 else part for part in parts]
    return dict(zip(("weight", "scales", "biases"), map(np.array, views), strict=True))


def errors(parts, rows, dtype, how, moments=None):
    """(Weighted) squared error of each group."""
    off = (dequantized(parts, dtype, how) - floats(rows, dtype)) ** 2
    if moments is not None:
        off = off * moments
    return off.reshape(-1, how.group_size).sum(axis=1)


def normal(dtype="BF16", seed=1, scale=0.03, shape=(ROWS, COLUMNS)):
    return stored(np.random.default_rng(seed).normal(0, scale, shape), dtype)


def hostile(dtype):
    """Groups that break what is careless: constants, zeros, one value far off, extremes of the dtype."""
    rng = np.random.default_rng(3)
    large = 0.9 * (LARGEST if dtype == "F16" else 1e15)
    rows = [
        np.zeros(COLUMNS),
        np.full(COLUMNS, 0.7),
        np.full(COLUMNS, -100.0),
        np.full(COLUMNS, 1e-6),
        np.where(np.arange(COLUMNS) % 64 == 5, 8.0, rng.normal(0, 1e-2, COLUMNS)),
        -rng.uniform(0, 1, COLUMNS),
        1 + rng.uniform(0, 1e-2, COLUMNS),
        rng.normal(0, 1e-7, COLUMNS),
        rng.uniform(-large, large, COLUMNS),
        rng.uniform(0.9 * large, large, COLUMNS),
        np.where(np.arange(COLUMNS) % 2, 0.25, -0.125),
        np.where(rng.uniform(0, 1, COLUMNS) < 0.9, -LARGEST, rng.uniform(-LARGEST, LARGEST, COLUMNS)),
    ]
    return stored(np.array(rows), dtype)


@pytest.mark.parametrize("dtype", MX)
@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("make", [normal, hostile])
def test_no_group_is_worse_than_plain_rounding(make, how, dtype):
    rows = make(dtype)
    found, given = search_rows(rows, dtype, how, None), plain(rows, dtype, how)
    assert {n: (p.shape, p.dtype) for n, p in found.items()} == {
        n: (p.shape, p.dtype) for n, p in given.items()
    }
    before, after = errors(given, rows, dtype, how), errors(found, rows, dtype, how)
    size = (floats(rows, dtype) ** 2).reshape(-1, how.group_size).sum(axis=1)
    assert np.all(after <= before * (1 + 1e-4) + size * 1e-12)
    if make is normal:
        assert after.sum() < before.sum()


@pytest.mark.parametrize("bits", AFFINE.bits)
def test_no_group_is_worse_with_weighted_columns(bits):
    how, rows = Quantization("affine", bits, 64, "activation"), normal()
    moments = np.random.default_rng(5).exponential(1, COLUMNS).astype(np.float32) ** 3
    moments[::7] = 0
    found, unweighted = search_rows(rows, "BF16", how, moments), search_rows(rows, "BF16", how, None)
    weights = column_weights(COLUMNS, moments)
    before, after = (errors(p, rows, "BF16", how, weights) for p in (plain(rows, "BF16", how), found))
    assert np.all(after <= before * (1 + 1e-4))
    assert after.sum() < 0.97 * errors(unweighted, rows, "BF16", how, weights).sum()


@pytest.mark.parametrize(("bits", "most"), [(2, 0.7), (3, 0.8), (4, 0.85), (5, 0.87), (6, 0.87), (8, 0.65)])
def test_the_search_reduces_the_error(bits, most):
    how, rows = Quantization("affine", bits, 64, "mse"), normal(shape=(64, 768))
    before, after = (
        errors(p, rows, "BF16", how).sum()
        for p in (plain(rows, "BF16", how), search_rows(rows, "BF16", how, None))
    )
    assert after < most * before


@pytest.mark.parametrize("dtype", MX)
@pytest.mark.parametrize("bits", AFFINE.bits)
def test_each_code_is_the_nearest_one_for_the_scale_and_bias_that_are_stored(bits, dtype):
    how, rows = Quantization("affine", bits, 64, "mse"), normal(dtype)
    parts = search_rows(rows, dtype, how, None)
    scales, biases = (floats(parts[leaf], dtype)[..., None, None] for leaf in ("scales", "biases"))
    grid = scales * np.arange(2**bits) + biases
    values = floats(rows, dtype).reshape(ROWS, -1, 64)
    least = np.abs(values[..., None] - grid).min(axis=-1)
    off = np.abs(values - dequantized(parts, dtype, how).reshape(values.shape))
    np.testing.assert_allclose(off, least, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("how", [FOUR, Quantization("affine", 3, 32, "mse"), HOW[-1]], ids=str)
def test_any_cut_into_rows_gives_the_same_bytes(how):
    rows, moments = normal(), np.random.default_rng(6).uniform(0.1, 2, COLUMNS).astype(np.float32)
    expected = {leaf: part.tobytes() for leaf, part in search_rows(rows, "BF16", how, moments).items()}
    for step in (1, 2, 5):
        pieces = [search_rows(rows[i : i + step], "BF16", how, moments) for i in range(0, ROWS, step)]
        joined = {leaf: b"".join(piece[leaf].tobytes() for piece in pieces) for leaf in expected}
        assert joined == expected


def test_a_columns_weight_grows_with_its_inputs_and_is_never_zero():
    weights = column_weights(3, np.array([0, 1, 5], np.float32))
    np.testing.assert_allclose(weights, [0.5, 0.75, 1.75])


DIGEST = """
import hashlib

import numpy as np

from voxbuild.tensors.modes import Quantization
from voxbuild.tensors.search import search_rows

values = np.random.default_rng(8).normal(0, 0.03, (40, 384)).astype(np.float32)
moments = np.random.default_rng(9).uniform(0.1, 2, 384).astype(np.float32)
bfloat16 = (values.view(np.uint32) >> 16).astype(np.uint16)
for dtype, rows in (("BF16", bfloat16), ("F16", values.astype(np.float16))):
    parts = search_rows(rows, dtype, Quantization("affine", 4, 64, "mse"), moments)
    print(hashlib.sha256(b"".join(part.tobytes() for part in parts.values())).hexdigest())
"""


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_vector_instructions():
    outputs = set()
    for processor in ({}, {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}):
        command, environment = [sys.executable, "-c", DIGEST], os.environ | processor
        outputs.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert len(outputs) == 1


def test_only_ratios_of_moments_matter():
    rows, moments = normal(), np.random.default_rng(7).uniform(0.1, 2, COLUMNS).astype(np.float32)
    first = search_rows(rows, "BF16", FOUR, moments)
    for other in (moments * np.float32(2.0**40), moments * np.float32(2.0**-40)):
        again = search_rows(rows, "BF16", FOUR, other)
        assert all(np.array_equal(again[leaf], first[leaf]) for leaf in first)


def test_all_zero_inputs_give_equal_weights():
    rows = normal()
    silent, plain_search = (search_rows(rows, "BF16", FOUR, m) for m in (np.zeros(COLUMNS, np.float32), None))
    assert all(np.array_equal(silent[leaf], plain_search[leaf]) for leaf in silent)


def test_read_only_rows_are_accepted():
    rows = normal()
    rows.flags.writeable = False
    assert search_rows(rows, "BF16", FOUR, None)["weight"].shape == (ROWS, COLUMNS // 8)
