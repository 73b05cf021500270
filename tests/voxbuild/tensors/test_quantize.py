"""Our quantizer gives the bytes of MLX's on its CPU device, for any weights and any split into rows."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voxbuild.tensors.modes import MODES, Quantization
from voxbuild.tensors.quantize import QUANTIZER_VARIABLE, cast, is_finite, quantize_rows, to_rows, transposed
from voxrun.device import mx

HOW = [Quantization(n, b, g) for n, mode in MODES.items() for b in mode.bits for g in mode.group_sizes]
STORED = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}
BITS = {"BF16": np.uint16, "F16": np.uint16, "F32": np.uint32}
INFINITY = {"BF16": 0x7F80, "F16": 0x7C00, "F32": 0x7F800000}
MX = {"BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}
COLUMNS = 256

dtypes = pytest.mark.parametrize("dtype", STORED)
halves = pytest.mark.parametrize("dtype", ["BF16", "F16"])
modes = pytest.mark.parametrize("how", HOW, ids=lambda h: f"{h.mode}-{h.bits}-{h.group_size}")


def as_mlx(rows, dtype):
    return mx.array(rows).view(mx.bfloat16) if dtype == "BF16" else mx.array(rows)


def of_mlx(array):
    return np.array(array.view(mx.uint16) if array.dtype == mx.bfloat16 else array)


def stored(values, dtype):
    """Numbers as MLX stores them, the infinite ones made the greatest."""
    array = mx.array(np.asarray(values, np.float32))
    return finite(of_mlx(array.astype(MX[dtype], stream=mx.cpu)).view(BITS[dtype]), dtype)


def finite(bits, dtype):
    """The same patterns with a lesser exponent where they are infinite or not a number."""
    least = np.array(1, BITS[dtype]) << (7 if dtype == "BF16" else 10 if dtype == "F16" else 23)
    infinite = (bits & INFINITY[dtype]) == INFINITY[dtype]
    return np.where(infinite, bits - least, bits).astype(BITS[dtype]).view(STORED[dtype])


def bytes_of(parts):
    return {leaf: part.tobytes() for leaf, part in parts.items()}


def by_mlx(rows, dtype, how):
    parts = mx.quantize(as_mlx(rows, dtype), how.group_size, how.bits, how.mode, stream=mx.cpu)
    return {leaf: of_mlx(part) for leaf, part in zip(("weight", "scales", "biases"), parts, strict=False)}


def assert_as_mlx(rows, dtype, how):
    ours, theirs = quantize_rows(rows, dtype, how), by_mlx(rows, dtype, how)
    assert ours.keys() == theirs.keys()
    for leaf, part in ours.items():
        expected = theirs[leaf]
        assert (part.dtype, part.shape) == (expected.dtype, expected.shape), leaf
        kind = f"u{part.itemsize}"
        np.testing.assert_array_equal(part.view(kind), expected.view(kind), err_msg=leaf)


def hostile(dtype):
    """Rows, each of a kind that has its own way to go wrong."""
    rng = np.random.default_rng(3)
    normal = rng.normal(0, 1, (8, COLUMNS))
    most = {"BF16": 3.38e38, "F16": 65504.0, "F32": 3.4e38}[dtype]
    least = {"BF16": 2.0**-133, "F16": 2.0**-24, "F32": 2.0**-149}[dtype]
    step = {"BF16": 2.0**-7, "F16": 2.0**-10, "F32": 2.0**-23}[dtype]
    signs = np.where(normal < 0, -1.0, 1.0)
    exponents = rng.integers(-14, 13, (8, COLUMNS // 16)).repeat(16, 1)
    middles = rng.choice([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, 6], (8, COLUMNS))
    e4m3 = 2.0 ** rng.integers(-9, 9, (8, COLUMNS)) * (1 + rng.integers(0, 16, (8, COLUMNS)) / 16)
    outlier = normal.copy()
    outlier[:, ::COLUMNS] = 1e4
    yield normal * 0.02
    yield outlier
    yield np.abs(normal)  # positive only, negative only, far from zero
    yield -np.abs(normal)
    yield 100 + normal
    yield normal[:, :1].repeat(COLUMNS, 1)  # constant
    yield 0 * signs  # of either sign
    yield np.where(normal > 1, normal, 0 * signs)
    yield 1e-7 * normal  # the least scale decides
    yield 1 + step * rng.integers(0, 3, (8, COLUMNS))
    yield least * rng.integers(-300, 301, (8, COLUMNS))  # denormal
    yield np.clip(most * normal, -most, most)  # ranges beyond the greatest number
    yield signs * np.exp2(rng.uniform(np.log2(least), np.log2(most), (8, COLUMNS)))
    yield rng.integers(-15, 16, (8, COLUMNS))  # ties between steps
    for near in (-1, 0, 1):  # ties between small floats, and a step beside them
        yield signs * middles * 2.0**exponents * (1 + near * step)
        yield signs * np.minimum(e4m3, 448) * 2.0 ** (exponents // 2) * (1 + near * step)
        for greatest in (6, 448):  # maxima beside a power of two
            yield signs * (1 + near * step) * 2.0**exponents * greatest / 512


@pytest.mark.slow
@modes
@dtypes
def test_hostile_weights_give_the_bytes_of_mlx(dtype, how):
    for values in hostile(dtype):
        assert_as_mlx(stored(values, dtype), dtype, how)


@modes
@settings(max_examples=25)
@given(
    dtype=st.sampled_from(sorted(STORED)),
    palette=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
)
@example(dtype="F32", palette=[0x4F89_0000, 0xCC80_0001, 0x4C80_0002, 0x4BFF_FFFF], seed=0)
def test_any_bits_give_the_bytes_of_mlx(how, dtype, palette, seed):
    rng = np.random.default_rng(seed)
    high = np.array(palette, np.uint32)
    bits = rng.choice(high if dtype == "F32" else high >> 16, (2, COLUMNS)).astype(BITS[dtype])
    assert_as_mlx(finite(bits, dtype), dtype, how)


def every_pattern(dtype):
    """The finite numbers of 16 bits that are not negative, in their order."""
    return np.arange(INFINITY[dtype], dtype=np.uint16)


@pytest.mark.slow
@modes
@halves
def test_every_number_as_a_maximum_gives_the_bytes_of_mlx(dtype, how):
    lesser = np.maximum(every_pattern(dtype)[:, None].astype(np.int32) - 9 * np.arange(128), 0)
    assert_as_mlx(lesser.astype(np.uint16).view(STORED[dtype]), dtype, how)


@modes
@halves
@pytest.mark.parametrize("greatest", [6.0, 0.03])
def test_every_number_below_a_maximum_gives_the_bytes_of_mlx(dtype, how, greatest):
    maximum = stored([greatest], dtype).view(np.uint16)[0]
    members = every_pattern(dtype)[: maximum + 1]
    members = np.concatenate([members, members | 0x8000])
    groups = np.resize(members, (-(-len(members) // 240) * 16, 15))  # of 16, and so of any number of times 16
    rows = np.insert(groups, 0, maximum, axis=1).reshape(-1, COLUMNS)
    assert_as_mlx(rows.view(STORED[dtype]), dtype, how)


@modes
def test_any_split_into_rows_gives_the_same_bytes(how):
    rows = stored(np.random.default_rng(1).normal(0, 1, (7, COLUMNS)), "BF16")
    whole = bytes_of(quantize_rows(rows, "BF16", how))
    for step in range(1, 7):
        chunks = [bytes_of(quantize_rows(rows[i : i + step], "BF16", how)) for i in range(0, 7, step)]
        assert {leaf: b"".join(chunk[leaf] for chunk in chunks) for leaf in whole} == whole


@modes
@pytest.mark.parametrize("groups", [1, 3])
def test_a_groups_bytes_do_not_depend_on_the_groups_behind_it(how, groups):
    rows = stored(np.random.default_rng(4).normal(0, 1, (5, 4 * how.group_size)), "BF16")
    whole, some = (quantize_rows(part, "BF16", how) for part in (rows, rows[:, : groups * how.group_size]))
    for leaf, part in some.items():
        assert np.array_equal(part, whole[leaf][:, : whole[leaf].shape[1] * groups // 4]), leaf


@modes
@dtypes
def test_quantized_arrays_have_the_shapes_of_the_mode(how, dtype):
    kinds = {"U32": np.uint32, "U8": np.uint8} | STORED
    parts = quantize_rows(stored(np.ones((7, COLUMNS)), dtype), dtype, how)
    assert {leaf: (part.dtype, part.shape) for leaf, part in parts.items()} == {
        leaf: (kinds[kind], shape) for leaf, (kind, shape) in how.outputs((7, COLUMNS), dtype).items()
    }


@modes
@dtypes
def test_quantizing_with_mlx_gives_the_same_bytes(how, dtype, monkeypatch):
    rows = stored(np.random.default_rng(2).normal(0, 1, (2, COLUMNS)), dtype)
    ours = bytes_of(quantize_rows(rows, dtype, how))
    monkeypatch.setenv(QUANTIZER_VARIABLE, "mlx")
    monkeypatch.setattr("voxbuild.tensors.quantize.kernels", None)
    assert bytes_of(quantize_rows(rows, dtype, how)) == ours


@pytest.mark.slow
def test_quantizing_loads_mlx_only_on_request():
    code = (
        "import sys, numpy as np; from voxbuild.tensors.modes import Quantization as Q\n"
        "from voxbuild.tensors.quantize import quantize_rows\n"
        "quantize_rows(np.zeros((1, 64), np.uint16), 'BF16', Q('affine', 4, 64))\n"
        "sys.exit('mlx.core' in sys.modules)"
    )
    for choice, loaded in (("", 0), ("mlx", 1)):
        environment = os.environ | {QUANTIZER_VARIABLE: choice}
        assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == loaded


def test_only_matrices_of_whole_groups_fit():
    how = Quantization("affine", 4, 64)
    assert how.fits((1, 128))
    assert not how.fits((128, 32))
    assert not how.fits((64,))
    assert not how.fits((64, 3, 64))


def test_the_config_names_the_mode_where_it_is_not_affine():
    assert Quantization("affine", 4, 64).as_config() == {"bits": 4, "group_size": 64}
    assert Quantization("nvfp4", 4, 16).as_config() == {"bits": 4, "group_size": 16, "mode": "nvfp4"}


@dtypes
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_rows_are_a_view_of_the_bytes(dtype, kind):
    data = np.random.default_rng(2).integers(0, 255, 24, dtype=np.uint8)
    rows = to_rows(kind(data.tobytes()), dtype, (2, 3) if dtype == "F32" else (2, 6))
    assert rows.dtype == STORED[dtype]
    assert rows.tobytes() == data.tobytes()
    memory = bytearray(data)
    rows = to_rows(memory, dtype, (-1,))
    memory[0] ^= 1
    assert rows.tobytes() == bytes(memory)


def cast_by_mlx(rows, dtype, to):
    return of_mlx(as_mlx(rows, dtype).astype(MX[to], stream=mx.cpu))


@dtypes
def test_casts_of_every_number_are_those_of_mlx(dtype):
    """Of 16 bits all there are; of 32 the same, the middles between two of them, and the next to those."""
    bits = np.arange(2**16, dtype=BITS[dtype])
    if dtype == "F32":
        halves = (cast_by_mlx(bits.astype(np.uint16).view(STORED[d]), d, "F32") for d in ("BF16", "F16"))
        exact = np.concatenate([half.view(np.uint32) for half in halves])
        bits = np.concatenate(
            [exact + np.uint32(more) for more in (0, 1, 0xFFF, 0x1000, 0x1001, 0x7FFF, 0x8000)]
        )
    rows = finite(bits, dtype)
    for to in STORED:
        assert cast(rows, dtype, to).tobytes() == cast_by_mlx(rows, dtype, to).tobytes()


def test_a_cast_to_the_same_dtype_copies_nothing():
    rows = np.ones((2, 3), np.float32)
    assert cast(rows, "F32", "F32") is rows


@dtypes
def test_casts_keep_the_shape(dtype):
    rows = stored(np.arange(24).reshape(2, 3, 4), dtype)
    for to in STORED:
        np.testing.assert_array_equal(cast(rows, dtype, to), stored(np.arange(24).reshape(2, 3, 4), to))


@dtypes
@pytest.mark.parametrize("sign", [0, 1])
def test_infinity_and_nan_are_detected_anywhere_and_in_any_cast(dtype, sign):
    bits = np.dtype(BITS[dtype]).itemsize * 8 - 1
    greatest = (1 << bits) - 1
    for size, place in ((1, 0), (3, 2), (100, 0), (100, 41), (5000, 4999)):
        for pattern in (INFINITY[dtype] - 1, INFINITY[dtype], INFINITY[dtype] + 1, greatest):
            rows = np.zeros(size, BITS[dtype])
            rows[place] = pattern | sign << bits
            rows = rows.reshape(1, size).view(STORED[dtype])
            assert is_finite(rows, dtype) == (pattern < INFINITY[dtype])
            if pattern >= INFINITY[dtype]:
                assert not any(is_finite(cast(rows, dtype, to), to) for to in STORED)


def test_what_a_dtype_cannot_hold_becomes_infinite():
    assert not is_finite(cast(np.array([1e6], np.float32), "F32", "F16"), "F16")
    assert not is_finite(cast(np.array([3.4e38], np.float32), "F32", "BF16"), "BF16")


def test_transposing_moves_every_value():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert transposed(array).tobytes() == array.swapaxes(1, 2).tobytes()
    assert transposed(array).flags.c_contiguous
