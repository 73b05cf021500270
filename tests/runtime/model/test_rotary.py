"""Rotation of a product's queries and keys in one operation, which leaves its values alone."""

import numpy as np
import pytest

from voxrun.device import mx
from voxrun.model.rotary import Rotary


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16], ids=str)
@pytest.mark.parametrize(("rows", "positions"), [((1, 3), [29000]), ((2, 1), [7, 29000])])
def test_all_heads_but_the_last_turn_as_each_would_alone(
    dtype: mx.Dtype, rows: tuple[int, int], positions: list[int]
) -> None:
    rotary, (streams, n), heads, still, dim = Rotary(1e6, 64), rows, 5, 2, 64
    x = mx.array(np.random.default_rng(0).normal(size=(*rows, (heads + still) * dim)), dtype)
    found = np.array(rotary.turned(x, mx.array(positions, mx.int32), still).astype(mx.float32))
    given = x.astype(mx.float32).reshape(streams, n, heads + still, dim)
    spans = [(first, n) for first in positions]
    each = [np.array(rotary.rotate(given[i : i + 1], [span])) for i, span in enumerate(spans)]
    wanted = np.array(mx.array(np.concatenate(each)).astype(dtype).astype(mx.float32))
    parts = found.reshape(wanted.shape)
    assert np.allclose(parts[:, :, :heads], wanted[:, :, :heads], atol=1e-6 if dtype == mx.float32 else 0.02)
    assert np.array_equal(parts[:, :, heads:], np.array(given)[:, :, heads:])
