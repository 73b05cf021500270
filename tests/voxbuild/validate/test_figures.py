"""What was heard is used again only if it is of the same files, and whole."""

import math

import pytest

from voxbuild.validate.figures import recall, remember
from voxbuild.validate.measure import Heard

HEARD = {"few/a": Heard("press five", [1, 2])}
NEAR = {"positions": 9, "kl_mean": 0.25}


def test_figures_are_recalled_for_the_same_inputs_only(tmp_path):
    path = tmp_path / "heard.json"
    assert recall(path, "these") is None
    remember(path, "these", HEARD, NEAR)
    assert recall(path, "these") == (HEARD, NEAR)
    assert recall(path, "others") is None
    path.write_text(path.read_text()[:-9])
    assert recall(path, "these") is None


@pytest.mark.parametrize("figure", [math.nan, math.inf, None])
def test_figures_that_are_not_finite_are_measured_again(tmp_path, figure):
    remember(tmp_path / "heard.json", "these", HEARD, NEAR | {"kl_mean": figure})
    assert recall(tmp_path / "heard.json", "these") is None
