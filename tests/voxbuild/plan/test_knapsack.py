"""The exact optimum within a limit of bytes: against all choices, and at the size of the real model."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxbuild.plan.knapsack import Option, TooSmallError, cheapest

COSTS = st.one_of(st.integers(0, 5).map(float), st.floats(0, 5))
OPTIONS = st.lists(st.builds(Option, st.integers(0, 40), COSTS), min_size=1, max_size=5)
CHOICES = st.lists(OPTIONS, min_size=1, max_size=5)


def sums(choices, chosen):
    options = [each[i] for each, i in zip(choices, chosen, strict=True)]
    return sum(o.nbytes for o in options), sum(o.cost for o in options)


@given(CHOICES, st.integers(0, 150))
def test_no_other_choice_within_the_limit_costs_less(choices, limit):
    every = [sums(choices, chosen) for chosen in itertools.product(*map(range, map(len, choices)))]
    if not (possible := [each for each in every if each[0] <= limit]):
        with pytest.raises(TooSmallError) as caught:
            cheapest(choices, limit)
        assert caught.value.smallest == min(nbytes for nbytes, _ in every)
        return
    nbytes, cost = sums(choices, cheapest(choices, limit))
    assert nbytes <= limit
    assert cost == pytest.approx(min(cost for _, cost in possible), rel=1e-9)


def test_equal_costs_take_fewer_bytes_and_then_the_first():
    same = [Option(5, 1.0), Option(3, 1.0), Option(3, 1.0)]
    assert cheapest([same, same], 100) == [1, 1]
    either = [Option(0, 1.0), Option(8, 0.0)]
    assert cheapest([either, either], 8) == [0, 1]


def test_it_fills_461_matrices_of_18_options_almost_to_the_byte():
    random = np.random.default_rng(0)
    sizes = (
        [(5120, 1280)] * 224 + [(4096, 3072), (1024, 3072), (9216, 3072), (32, 3072)] * 59 + [(131072, 3072)]
    )
    choices = [
        [
            Option(
                rows * columns * bits // 8 + rows * columns // group * 4,
                cost * 4.4 ** (3 - bits) * group**0.5,
            )
            for bits in (2, 3, 4, 5, 6, 8)
            for group in (32, 64, 128)
        ]
        for (rows, columns), cost in zip(sizes, random.lognormal(-8, 1.5, len(sizes)), strict=True)
    ]
    costs = []
    for limit in (1_400_000_001, 1_400_050_000, 1_900_000_000):
        nbytes, cost = sums(choices, cheapest(choices, limit))
        assert 0 <= limit - nbytes < 20_000
        costs.append(cost)
    assert costs == sorted(costs, reverse=True)
