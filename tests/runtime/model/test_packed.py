"""Products with stored matrices are those with their dequantized values, whatever the format and the rows."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from comparison import error

from voxrun.device import mx

matrix = pytest.importorskip("voxrun.model.cpu.packed", exc_type=ImportError)
earlier = pytest.importorskip("voxrun.model.cpu.earlier", exc_type=ImportError)

AFFINE = [
    {"bits": bits, "group_size": group, "mode": "affine"}
    for bits, group in ((2, 64), (3, 64), (4, 32), (4, 64), (4, 128), (5, 64), (6, 64), (8, 64))
]
FOUR_BITS = AFFINE[3]
FLOATS = [
    {"bits": 4, "group_size": 32, "mode": "mxfp4"},
    {"bits": 8, "group_size": 32, "mode": "mxfp8"},
    {"bits": 4, "group_size": 16, "mode": "nvfp4"},
]
ROWS, COLUMNS = 37, 640
MANY = 7 * matrix.FEW_ROWS + 3


def as_stored(array: mx.array) -> np.ndarray:
    return np.array(array.view(mx.uint16) if array.dtype in (mx.bfloat16, mx.float16) else array)


def weights(dtype: mx.Dtype) -> mx.array:
    random = np.random.default_rng(0)
    return mx.array(random.normal(size=(ROWS, COLUMNS)).astype(np.float32)).astype(dtype)


def quantized(settings: dict[str, Any], dtype: mx.Dtype) -> tuple[Any, np.ndarray]:
    """Our matrix, and its values."""
    parts = mx.quantize(weights(dtype), **settings)
    names = ("weight", "scales", "biases")
    stored = {name: as_stored(part) for name, part in zip(names, parts, strict=False)}
    name = str(parts[1].dtype).removeprefix("mlx.core.")
    exact = [part.astype(mx.float32) if part.dtype == dtype else part for part in parts]
    values = np.array(mx.dequantize(*exact, **settings).astype(mx.float32))
    return matrix.quantized(stored, name, settings["bits"], settings["mode"]), values


def agrees(found: Any, values: np.ndarray) -> None:
    random = np.random.default_rng(1)
    assert found.rows == len(values)
    x = random.normal(size=(MANY, values.shape[1])).astype(np.float32)
    products = found.product(x)
    assert error(products, x @ values.T) < 2e-6
    for n in (1, 2, 3, 4, 7):
        if isinstance(found, matrix.Matrix):
            assert np.array_equal(found.product(x[:n]), products[:n]), n  # it does not matter what is beside
    ids = np.array([0, 36, 5, 5])
    assert error(found.take(ids), values[ids]) < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("settings", AFFINE, ids=str)
def test_integers(settings: dict[str, Any]) -> None:
    agrees(*quantized(settings, mx.bfloat16))


def test_scales_may_be_float16() -> None:
    agrees(*quantized(FOUR_BITS, mx.float16))


@pytest.mark.slow
@pytest.mark.parametrize("settings", FLOATS, ids=str)
def test_every_code_of_a_small_float_has_its_value(settings: dict[str, Any]) -> None:
    """Also subnormals, both zeros and the codes that are no number, which random weights do not have."""
    rows, codes = matrix.TILE_ROWS, np.arange(256, dtype=np.uint8)
    weight = np.tile(codes, (rows, 1)).view(np.uint32)
    groups = weight.shape[1] * 32 // settings["bits"] // settings["group_size"]
    one = 0x7F if settings["mode"].startswith("mx") else 0x38  # as E8M0, and as E4M3
    scales = np.full((rows, groups), one, np.uint8)
    values = mx.dequantize(mx.array(weight), mx.array(scales), None, **settings).astype(mx.float32)
    found = matrix.quantized(
        {"weight": weight, "scales": scales}, "uint8", settings["bits"], settings["mode"]
    )
    np.testing.assert_array_equal(found.unpacked(0, rows), np.array(values))


@pytest.mark.slow
@pytest.mark.parametrize("settings", FLOATS, ids=str)
def test_small_floats(settings: dict[str, Any]) -> None:
    agrees(*quantized(settings, mx.bfloat16))


@pytest.mark.parametrize("dtype", [mx.bfloat16, mx.float16], ids=str)
def test_half_floats(dtype: mx.Dtype) -> None:
    values = weights(dtype)
    name = str(dtype).removeprefix("mlx.core.")
    agrees(matrix.dense(as_stored(values), name), np.array(values.astype(mx.float32)))


def test_halves_that_are_subnormal_zero_or_large_are_exact() -> None:
    numbers = np.array([[0.0, -0.0, 6e-8, -6.1e-5, 65504.0, 1.0, -2.5, 1e-7]], np.float16)
    found = matrix.dense(numbers.view(np.uint16), "float16")
    assert np.array_equal(found.take(np.array([0])), numbers.astype(np.float32))


def test_every_code_of_an_eight_bit_float_has_mlxs_value() -> None:
    codes = np.arange(256, dtype=np.uint8).reshape(8, 32)
    scales = np.full((8, 1), 127, np.uint8)
    settings = {"bits": 8, "group_size": 32, "mode": "mxfp8"}
    found = matrix.quantized({"weight": codes.view(np.uint32), "scales": scales}, "uint8", 8, "mxfp8")
    theirs = np.array(
        mx.dequantize(mx.array(codes.view(np.uint32)), mx.array(scales), **settings).astype(mx.float32)
    )
    ours = found.take(np.arange(8))
    known = np.isfinite(theirs) & np.isfinite(ours)
    assert known.sum() >= 254  # the two NaNs are nobody's weights
    assert np.array_equal(ours[known], theirs[known])


def test_products_depend_neither_on_cores_nor_on_matrices_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = quantized(FOUR_BITS, mx.bfloat16)
    halves = matrix.dense(as_stored(weights(mx.bfloat16)), "bfloat16")
    x = np.random.default_rng(1).normal(size=(MANY, COLUMNS)).astype(np.float32)
    alone = [found.product(x), halves.product(x)]
    monkeypatch.setattr("voxrun.parallel.cores", lambda: 3)
    monkeypatch.setattr("voxrun.parallel.WORTH_A_THREAD", 1)
    for ours, one in zip(matrix.products([found, halves], x), alone, strict=True):
        assert np.array_equal(ours, one)


def test_as_before_halves_are_multiplied_without_vectors() -> None:
    """What voxbuild's diagonal is made of keeps its bytes; vectors add up in another order."""
    values = weights(mx.bfloat16)
    found = matrix.dense(as_stored(values), "bfloat16")
    x = np.random.default_rng(1).normal(size=(45, COLUMNS)).astype(np.float32)
    for n in (3, 45):
        before, now = earlier.as_before(found).product(x[:n]), found.product(x[:n])
        assert error(before, now) < 2e-6
        assert not np.array_equal(before, now)


def test_small_matrices_and_odd_columns_are_unpacked() -> None:
    random = np.random.default_rng(1)
    for rows, columns in ((3, 64), (40, 20)):
        values = mx.array(random.normal(size=(rows, columns)).astype(np.float32)).astype(mx.bfloat16)
        agrees_with = np.array(values.astype(mx.float32))
        assert np.array_equal(matrix.dense(as_stored(values), "bfloat16").weight, agrees_with)


def test_float32_is_left_to_numpy() -> None:
    values = np.array(weights(mx.float32))
    agrees(matrix.dense(values, "float32"), values)


@pytest.mark.parametrize("row", [-1, ROWS])
def test_a_missing_row_is_refused(row: int) -> None:
    with pytest.raises(IndexError, match=f"of a matrix with {ROWS}"):
        quantized(FOUR_BITS, mx.bfloat16)[0].take(np.array([0, row]))


def test_other_types_are_left_to_mlx() -> None:
    assert matrix.dense(np.zeros((2, 8), np.int8), "int8") is None
    parts = {name: np.zeros((2, 8), np.float32) for name in ("weight", "scales", "biases")}
    assert matrix.quantized(parts, "float32", 4, "affine") is None


PLAIN = """
import numpy as np
from test_packed import AFFINE, FLOATS, agrees, matrix, mx, quantized, weights
assert matrix.LANES == 8
for settings in (AFFINE[1], AFFINE[3], FLOATS[1]):
    agrees(*quantized(settings, mx.bfloat16))
"""


@pytest.mark.slow
def test_a_processor_without_wide_vectors_computes_the_same(tmp_path: Path) -> None:
    plain = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    folders = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, **plain, "PYTHONPATH": folders}
    subprocess.run([sys.executable, "-c", PLAIN], env=environment, check=True)
