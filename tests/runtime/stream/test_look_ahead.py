"""Decoding several positions in one pass changes the speed, never a token."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import ScriptedModel

from voxrun.bench.proposal import replay
from voxrun.stream.results import Result
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.stream.tuning import TUNINGS
from voxrun.transcriber import Transcriber

EOS, PAD, WORD, LETTER = 2, 32, 33, 100
PADDED = [PAD] * 6


def tokens(*results: Result) -> list[int]:
    return [token.id for result in results for token in result.tokens]


@settings(max_examples=60)
@given(
    script=st.lists(st.sampled_from([EOS, WORD, LETTER, *PADDED]), max_size=60),
    look_ahead=st.sampled_from([1, 2, 3, 16]),
    live=st.booleans(),
)
def test_a_model_continues_from_its_own_tokens(
    tokenizer: Tokenizer, script: list[int], look_ahead: int, live: bool
) -> None:
    """Whatever was guessed, the history that the last pass leaves is that of plain decoding."""
    model = ScriptedModel(script)
    session = Session(model, tokenizer, live=live, look_ahead=look_ahead)
    said = tokens(session.feed(np.zeros(16000 * 3, np.float32)), session.finish())
    whole = (script + [PAD] * 99)[: -(-16000 * 3 // 1280) + 10]
    assert said == (whole if live or EOS not in whole else whole[: whole.index(EOS) + 1])
    assert model.inputs[: len(said) - 1] == [PAD if id == EOS else id for id in said[:-1]]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_tokens_are_those_of_plain_decoding(
    transcriber: Transcriber, samples: np.ndarray, temperature: float
) -> None:
    def said(look_ahead: int) -> tuple[list[int], int]:
        session = transcriber.session(look_ahead=look_ahead, temperature=temperature)
        return tokens(session.feed(samples), session.finish()), session.n_passes

    plain, passes = said(1)
    assert passes == len(plain)
    for look_ahead in (2, 5, 16):
        guessed, fewer = said(look_ahead)
        assert guessed == plain
        assert fewer < passes


def test_silence_takes_few_passes(tokenizer: Tokenizer) -> None:
    session = Session(ScriptedModel([]), tokenizer)
    session.feed(np.zeros(16000 * 60, np.float32))
    assert session.n_tokens > 700
    assert session.n_passes < 70


def test_passes_are_those_that_the_bench_replays(
    tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row behind a word's mark, four after text, more after pads: but for a few where a block ends."""
    monkeypatch.setenv("VOXRUN_TUNING", "CPU")
    kinds = "pwtpwttpppwtpppppppppppwt" * 12
    script = [{"p": PAD, "w": WORD, "t": LETTER}[kind] for kind in kinds]
    model, rows = ScriptedModel(script), list[int]()
    decode = model.decode

    def counted(ids: Any, *rest: Any) -> Any:
        rows.append(len(ids))
        return decode(ids, *rest)

    monkeypatch.setattr(model, "decode", counted)
    session = Session(model, tokenizer, live=True)
    session.feed(np.zeros(1280 * (len(kinds) + 8), np.float32))
    look_ahead = TUNINGS["CPU"].look_ahead
    expected = replay(kinds, look_ahead, dict.fromkeys(look_ahead, 1.0))
    assert session.n_passes == len(rows) == pytest.approx(expected.passes, rel=0.05)
    assert sum(rows[1:]) == pytest.approx(expected.rows, rel=0.05)  # the first pass is the prompt's
