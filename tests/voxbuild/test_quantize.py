"""Any cut into rows gives the bytes that MLX makes of the whole matrix."""

import numpy as np
import pytest
from sources import raw

from voxbuild.modes import MODES, Quantization
from voxbuild.quantize import cast, is_finite, quantize_rows, to_bytes, to_mlx, transposed
from voxrun.device import mx

HOW = [Quantization(n, b, g) for n, mode in MODES.items() for b in mode.bits for g in mode.group_sizes]
ROWS, COLUMNS = 7, 256


def matrix(dtype=mx.bfloat16):
    return mx.array(np.random.default_rng(1).normal(0, 1, (ROWS, COLUMNS)).astype(np.float32)).astype(dtype)


def whole(array, how):
    return mx.quantize(array, how.group_size, how.bits, how.mode, stream=mx.cpu)


@pytest.mark.parametrize("how", HOW, ids=str)
def test_chunks_of_rows_give_the_bytes_of_the_whole(how):
    expected = [raw(part) for part in whole(matrix(), how)]
    for step in (1, 2, 3, ROWS):
        chunks = [quantize_rows(matrix()[i : i + step], how) for i in range(0, ROWS, step)]
        leaves = list(chunks[0])
        assert [b"".join(to_bytes(c[leaf]) for c in chunks) for leaf in leaves] == expected


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize(("dtype", "name"), [(mx.bfloat16, "BF16"), (mx.float16, "F16"), (mx.float32, "F32")])
def test_what_a_mode_says_it_stores_is_what_mlx_makes(how, dtype, name):
    stored = {"U32": mx.uint32, "U8": mx.uint8, "BF16": mx.bfloat16, "F16": mx.float16, "F32": mx.float32}
    parts = quantize_rows(matrix(dtype), how)
    said = how.outputs((ROWS, COLUMNS), name)
    assert {leaf: (part.dtype, part.shape) for leaf, part in parts.items()} == {
        leaf: (stored[kind], shape) for leaf, (kind, shape) in said.items()
    }


def test_only_matrices_of_whole_groups_fit():
    how = Quantization("affine", 4, 64)
    assert how.fits((1, 128))
    assert not how.fits((128, 32))
    assert not how.fits((64,))
    assert not how.fits((64, 3, 64))


def test_the_config_names_the_mode_where_it_is_not_affine():
    assert Quantization("affine", 4, 64).as_config() == {"bits": 4, "group_size": 64}
    assert Quantization("nvfp4", 4, 16).as_config() == {"bits": 4, "group_size": 16, "mode": "nvfp4"}


@pytest.mark.parametrize("name", ["BF16", "F16", "F32"])
def test_bytes_come_back_as_they_were(name):
    data = np.random.default_rng(2).integers(0, 255, 24, dtype=np.uint8).tobytes()
    shape = (2, 3) if name == "F32" else (2, 6)
    assert to_bytes(to_mlx(data, name, shape)) == data


def test_casts_round_to_nearest_even():
    halfway = mx.array([1 + 2**-9, 1 + 3 * 2**-9, 1 + 2**-9 + 2**-20], mx.float32)
    # bfloat16 keeps 8 bits: 1 + k/128
    assert cast(halfway, "BF16").astype(mx.float32).tolist() == [1.0, 1 + 2**-7, 1.0]
    assert cast(mx.array([1 + 2**-8, 1 + 3 * 2**-8]), "BF16").astype(mx.float32).tolist() == [1.0, 1 + 2**-6]
    assert cast(mx.array([0.5, -3.0], mx.bfloat16), "F16").dtype == mx.float16


def test_not_finite_values_are_seen():
    assert is_finite(mx.array([0.0, -1.0]))
    assert not is_finite(mx.array([0.0, float("inf")]))
    assert not is_finite(mx.array([0.0, float("nan")], mx.bfloat16))
    assert not is_finite(cast(mx.array([1e6], mx.bfloat16), "F16"))


def test_transposing_moves_the_bytes():
    array = mx.arange(24, dtype=mx.float32).reshape(2, 3, 4)
    assert (
        to_bytes(transposed(array))
        == np.arange(24, dtype=np.float32).reshape(2, 3, 4).swapaxes(1, 2).tobytes()
    )
