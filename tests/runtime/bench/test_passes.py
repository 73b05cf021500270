"""Single passes, as `voxrun bench` measures them."""

import numpy as np
import pytest

from voxrun.bench.listening import noise
from voxrun.bench.passes import Passes, largest_share
from voxrun.bench.timing import QUICK
from voxrun.errors import WeightsError
from voxrun.mlx_thread import computed
from voxrun.model.decoder import LanguageModel
from voxrun.transcriber import Transcriber


@pytest.fixture
def passes(transcriber: Transcriber) -> Passes:
    made = computed(Passes, transcriber.model, transcriber.tokenizer, noise(1.0, transcriber.rate))
    computed(made.encoder, 4, QUICK)
    return made


def test_rows_that_a_pass_of_several_computes_otherwise_are_found(
    passes: Passes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(computed(passes.differences, [2, 4]).values()) < 1e-5
    original = LanguageModel.logits
    monkeypatch.setattr(
        LanguageModel, "logits", lambda self, hidden: original(self, hidden) + 0.01 * (hidden.shape[1] - 1)
    )
    found = computed(passes.differences, [2, 4])
    assert 1e-4 < found[2] < 1.1e-3  # a share of 10, or of a larger logit
    assert found[4] == pytest.approx(3 * found[2], rel=0.01)


def test_a_difference_is_a_share_of_the_largest_logit_or_of_ten() -> None:
    one = np.array([[1.0, -3.0], [50.0, 2.0]], np.float32)
    assert largest_share(one, one) == 0
    assert largest_share(one, one + np.array([[0.0, 0.5], [0.0, 0.0]])) == pytest.approx(0.05)
    assert largest_share(one, one + np.array([[0.0, 0.0], [0.0, 0.5]])) == pytest.approx(0.01)


@pytest.mark.parametrize("no_number", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_reported(no_number: float) -> None:
    right, wrong = np.zeros((1, 3), np.float32), np.array([[0, no_number, 0]], np.float32)
    for pair in ((right, wrong), (wrong, right)):
        with pytest.raises(WeightsError, match="logits are not finite"):
            largest_share(*pair)


@pytest.mark.parametrize("full_window", [False, True])
def test_a_pass_is_repeated_from_the_same_position(
    passes: Passes, monkeypatch: pytest.MonkeyPatch, full_window: bool
) -> None:
    positions: list[int] = []
    original = LanguageModel.__call__

    def seen(self, x, gains, spans):  # type: ignore[no-untyped-def]
        positions.append(spans[0][0].cache.offset)
        return original(self, x, gains, spans)

    monkeypatch.setattr(LanguageModel, "__call__", seen)
    assert computed(passes.decoder, 4, QUICK, full_window).samples >= 2
    assert len(set(positions if full_window else positions[1:])) == 1  # the first one is the prompt
    assert (positions[-1] >= 200) is full_window
