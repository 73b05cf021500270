"""Costs of settings, of a few that were measured."""

import math

import pytest

from voxbuild.errors import FormatError, PlanError
from voxbuild.files import write_json
from voxbuild.plan.costs import FORMAT, NotMeasuredError, costs_of, read_measured, to_measure, widths_for
from voxbuild.recipes.quantization import Quantize
from voxbuild.tensors.modes import Quantization

BITS = (2, 3, 4, 5, 6, 8)
SETTINGS = [Quantization("affine", bits, size, "gptq") for bits in BITS for size in (32, 64, 128)]


def at(costs, module, bits, size=64):
    return costs[module][Quantization("affine", bits, size, "gptq")]


def test_what_falls_alike_everywhere_is_continued():
    measured = {
        name: {f"{b}/64": level * 4.4**-b for b in (2, 3, 4)} for name, level in {"a": 1, "b": 9}.items()
    }
    costs = costs_of(measured, dict.fromkeys(measured, SETTINGS))
    for bits in BITS:
        assert at(costs, "a", bits) == pytest.approx(4.4**-bits)
        assert at(costs, "b", bits) == pytest.approx(9 * 4.4**-bits)
    assert at(costs, "a", 4, 128) / at(costs, "a", 4, 64) == pytest.approx(2**0.3)


def test_noise_is_shared_out_and_a_matrix_keeps_half_of_its_own_slope():
    others = {f"m{i}": {f"{b}/64": 4.0**-b for b in (2, 3, 4)} for i in range(9)}
    odd = {
        "steep": {f"{b}/64": 8.0**-b for b in (2, 3, 4)},
        "off": {"2/64": 4**-2, "3/64": 2 * 4**-3, "4/64": 4**-4},
    }
    costs = costs_of(others | odd, dict.fromkeys(odd, SETTINGS))
    assert math.log2(at(costs, "steep", 3) / at(costs, "steep", 4)) == pytest.approx(2.5)
    assert at(costs, "off", 3) == pytest.approx(2 ** (1 / 3) * 4.0**-3)


@pytest.mark.parametrize("wild", [{"2/64": 1e-3, "3/64": 0.0, "4/64": 5.0}, {"3/64": 0.5}])
def test_a_cost_falls_with_every_bit_whatever_was_measured(wild):
    costs = costs_of({"wild": wild} | {"m": {k: 4.0 ** -int(k[0]) for k in wild}}, {"wild": SETTINGS})
    falling = [at(costs, "wild", bits) for bits in BITS]
    assert falling == sorted(falling, reverse=True) and falling[-1] > 0


def test_a_large_model_is_measured_at_one_width_and_a_matrix_at_a_group_size_that_fits():
    section = Quantize(bits={"budget": 4.5}, group_size=64, search="mse")
    shapes = {"a": (64, 128), "b": (64, 32), "c": (64, 33)}
    assert to_measure(section, shapes) == {
        "a": [Quantization("affine", bits, 64, "mse") for bits in (2, 3, 4)],
        "b": [Quantization("affine", bits, 32, "mse") for bits in (2, 3, 4)],
    }
    assert widths_for(shapes | {"head": (131072, 3072)}) == (3,)


def test_a_measurement_that_cannot_be_used_is_one_message(tmp_path):
    path = tmp_path / "some.json"
    with pytest.raises(NotMeasuredError, match="run `doit measure`"):
        read_measured(path)
    for content in ({"format": FORMAT + 1}, {"format": FORMAT, "modules": {"a": 3}}, [], {"format": FORMAT}):
        write_json(path, content)
        with pytest.raises(PlanError, match="measure again"):
            read_measured(path)
    path.write_text("{")
    with pytest.raises(FormatError):
        read_measured(path)
