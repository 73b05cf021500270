"""A model stuck in silence: a penalty on the pad after many of them in a row; off by default."""

import numpy as np
import pytest
from scripted import VOCABULARY, ScriptedModel

from voxrun.device import mx
from voxrun.stream.sampling import Unstick
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer

EOS, PAD, LETTER = 2, 32, 100
RUT, SILENCE = 6.6, 8.5
"""By how many logits the pad leads at most in a rut, and at least in silence (vllm-project/vllm#47614)."""


class MuteModel(ScriptedModel):
    """Would say a letter, but the pad is ahead by `lead` logits."""

    def __init__(self, lead: float, pause: int | None = None) -> None:
        super().__init__([PAD] * pause + [EOS] if pause else [])
        self._lead = lead

    def _logits(self, hidden: mx.array) -> mx.array:
        ids = mx.arange(VOCABULARY)
        row = self._lead * (ids == PAD) - 99.0 * ((ids != PAD) & (ids != LETTER))
        return row + 999 * super()._logits(hidden) * (ids == EOS)


def said(tokenizer: Tokenizer, lead: float, pause: int | None = None, **options: object) -> list[int]:
    session = Session(MuteModel(lead, pause), tokenizer, live=True, **options)
    return [token.id for token in session.feed(np.zeros(16000 * 40, np.float32)).tokens]


def test_a_stuck_model_stays_silent_without_unstick(tokenizer: Tokenizer) -> None:
    assert set(said(tokenizer, RUT)) == {PAD}


@pytest.mark.parametrize("look_ahead", [1, 16])
@pytest.mark.parametrize("lead", [3.5, RUT])
def test_a_stuck_model_is_woken_after_some_seconds(
    tokenizer: Tokenizer, lead: float, look_ahead: int
) -> None:
    tokens = said(tokenizer, lead, unstick=True, look_ahead=look_ahead)
    first = tokens.index(LETTER)
    assert Unstick().penalty(first) > lead >= Unstick().penalty(first - 1)
    assert tokens[first + 1] == PAD  # and the patience begins anew
    assert tokens.count(LETTER) == len(tokens) // (first + 1)


def test_true_silence_stays_silent(tokenizer: Tokenizer) -> None:
    assert set(said(tokenizer, SILENCE, unstick=True)) == {PAD}


@pytest.mark.parametrize("look_ahead", [1, 3, 16])
def test_a_pause_of_the_models_own_ends_the_run(tokenizer: Tokenizer, look_ahead: int) -> None:
    """The end-of-stream token is heard as a pad, but it is none."""
    tokens = said(tokenizer, 3.5, pause=205, unstick=True, look_ahead=look_ahead)
    again = 206 + Unstick().patience + 8  # pads in a row until the penalty, 0.5 a pad, exceeds 3.5
    assert tokens[:206] == [PAD] * 205 + [EOS]
    assert tokens[206 : again + 1] == [PAD] * (again - 206) + [LETTER]
