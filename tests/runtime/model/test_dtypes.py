"""What begins in half floats stays in them: after one float32 factor a GPU would compute the rest in float32.

The models run on the CPU, by the products that a GPU would take.
"""

import pytest
from leaks import LEAKS, Leak
from widths import STORED, gpu_model, wrong_types

from voxrun.device import mx


@pytest.mark.slow
@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("dtype", [mx.bfloat16, mx.float16], ids=str)
def test_every_module_keeps_the_type_of_the_activations(
    monkeypatch: pytest.MonkeyPatch, stored: str, dtype: mx.Dtype
) -> None:
    assert wrong_types(gpu_model(stored, dtype, monkeypatch)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.name)
def test_a_leak_is_seen_where_it_is(monkeypatch: pytest.MonkeyPatch, leak: Leak) -> None:
    model = gpu_model(leak.stored, mx.bfloat16, monkeypatch)
    leak.make(model, monkeypatch)
    found = wrong_types(model)
    assert any(leak.seen in place for place in found), found
