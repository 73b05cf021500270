"""Tokens do not depend on the rows of a pass, though products do: near ties are decided by a row alone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cases import noise
from small_models import small_model

from voxrun.device import mx
from voxrun.model.linear import Linear
from voxrun.stream import scoring
from voxrun.stream.decoding import one_pass
from voxrun.stream.sampling import read, two_best
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.stream.tuning import TUNINGS

PAD = 32
INNER = 1e-6
"""Share by which products within the network differ, between one row and several."""
OUTER = 4e-4
"""Difference of logits: less than half of the margin, for either of the two that are compared may be off."""
APART = np.tile([0.0, 2e-4, -2e-4], 200)[:512].astype(np.float32)
"""The second logit of a pair, less the first: exact ties, and nearer ones than the kernels differ."""


class Uneven:
    """A random model with MLX's products, which round otherwise for each number of rows.

    Its tokens come in pairs of nearly the same logit, and the pad often leads, so that guesses are right.
    """

    def __init__(self, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.model, _ = small_model(sliding_window=60)
        self._seed, self._rows = seed, 1
        self._decode, self._logits = self.model.decode_all, self.model.language_model.logits
        patch.setattr(self.model, "decode_all", self.decode)
        patch.setattr(self.model.language_model, "logits", self.logits)
        patch.setattr(Linear, "__call__", self._uneven(Linear.__call__))

    def _uneven(self, product: Callable[..., Any]) -> Callable[..., Any]:
        def uneven(layer: Any, x: mx.array) -> Any:
            y = product(layer, x)
            rows = x.size // x.shape[-1]
            return y * mx.array(1 + INNER * self._noise(rows, y.shape[-1])) if rows > 1 else y

        return uneven

    def _noise(self, rows: int, n: int) -> np.ndarray:
        return np.random.default_rng([self._seed, rows]).uniform(-1, 1, n).astype(np.float32)

    def decode(self, streams: Any) -> Any:
        hidden = self._decode(streams)
        self._rows = hidden.shape[1]
        return hidden

    def logits(self, hidden: Any) -> Any:
        exact = np.array(self._logits(hidden))
        exact[..., 1::2] = exact[..., ::2] + APART
        exact[..., PAD] += 2.5
        off = OUTER * self._noise(self._rows, exact.shape[-1]) if self._rows > 1 else 0
        return mx.array((exact + off).astype(np.float32))


AUDIO = noise(16000 * 2)
OPTIONS: list[dict[str, Any]] = [
    {"delay_ms": 480},
    {"delay_ms": 80, "look_ahead": 3},
    {"delay_ms": 240, "draft_ms": 80},
    {"delay_ms": 480, "temperature": 1.0, "look_ahead": 1},
    {"delay_ms": 960, "temperature": 0.5, "seed": 3},
]


def tokens(session: Session, audio: np.ndarray) -> list[int]:
    return [token.id for result in (session.feed(audio), session.finish()) for token in result.tokens]


def one_by_one(model: Any, tokenizer: Tokenizer) -> list[list[int]]:
    """Each stream without any other, a row a pass."""
    plain = [{**each, "look_ahead": 1, "draft_ms": None} for each in OPTIONS]
    return [tokens(Session(model, tokenizer, live=True, **each), AUDIO) for each in plain]


def together(model: Any, tokenizer: Tokenizer) -> list[list[int]]:
    sessions = [Session(model, tokenizer, live=True, **each) for each in OPTIONS]
    calls = [(session.feed_later(AUDIO), session.finish_later()) for session in sessions]
    return [[token.id for part in pair for token in part.result().tokens] for pair in calls]


def with_look_ahead(model: Any, tokenizer: Tokenizer) -> list[list[int]]:
    return [tokens(Session(model, tokenizer, live=True, **each), AUDIO) for each in OPTIONS]


@pytest.mark.parametrize("kind", [np.array, mx.array])
@pytest.mark.parametrize(
    ("logits", "scale", "sure"),
    [
        ([1.0, 0.9995, -2.0], 1, False),  # within 1e-4 of 10, which small logits count as
        ([1.0, 0.998, -2.0], 1, True),
        ([100.0, 99.991, -2.0], 1, False),  # within 1e-4 of the largest
        ([100.0, 99.98, -2.0], 1, True),
        ([1.0, 0.9925, -100.0], 2, False),  # of scores, the logits' own size counts, times their scale
        ([1.0, 0.985, -100.0], 2, True),
        ([-2.0, 1.0, 1.0], 1, False),
    ],
)
def test_a_token_is_sure_if_rounding_cannot_bring_the_second_best_before_it(
    kind: Callable[..., Any], logits: list[float], scale: int, sure: bool
) -> None:
    given = kind([logits], np.float32) if kind is np.array else mx.array([logits])
    scores = given if scale == 1 else given * scale
    (best,) = read([two_best(scores, given)], [scale], mx.float32)
    assert (best.ids, best.sure) == ([int(np.argmax(logits))], [sure])
    assert np.array(scores).tolist() == (np.array([logits], np.float32) * scale).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_tokens_are_those_of_one_row_at_a_time(
    tokenizer: Tokenizer, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:  # with passes in flight
        monkeypatch.setenv("VOXRUN_KERNELS", "none")
    monkeypatch.setenv("VOXRUN_TUNING", ["CPU", "M1 and M2", "M3 and later"][seed // 2])
    model = Uneven(seed, monkeypatch).model
    alone = one_by_one(model, tokenizer)
    assert with_look_ahead(model, tokenizer) == alone
    assert together(model, tokenizer) == alone
    assert {id % 6 for id in alone[0] if id != PAD} <= {0, 3, 4}  # the first of equals, else the better one


@pytest.mark.slow
@pytest.mark.parametrize("heard", [with_look_ahead, together])
def test_without_the_margin_they_are_not(
    tokenizer: Tokenizer,
    heard: Callable[[Any, Tokenizer], list[list[int]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the tests here would show it, if the rule were broken."""
    path = tmp_path / "none.json"
    path.write_text(json.dumps({"rounding": dict.fromkeys(TUNINGS["CPU"].rounding, 0)}), "utf-8")
    monkeypatch.setenv("VOXRUN_TUNING", str(path))
    model = Uneven(0, monkeypatch).model
    wrong = [a != b for a, b in zip(heard(model, tokenizer), one_by_one(model, tokenizer), strict=True)]
    assert any(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("given", ["its own", "the other of each pair", "none of it"])
def test_a_recording_that_is_compared_is_written_so_too(
    tokenizer: Tokenizer, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Uneven(1, monkeypatch).model
    own = tokens(Session(model, tokenizer, delay_ms=480, look_ahead=1), AUDIO)
    others = {
        "its own": own,
        "the other of each pair": [id ^ 1 for id in own],
        "none of it": [700] * len(own),
    }
    recording = scoring.Scorer(model, tokenizer).hear(AUDIO, 480)
    for _ in recording.logits(others[given]):
        pass
    assert list(written(recording, others[given])) == own


def written(recording: scoring.Recording, given: list[int]) -> Iterator[int]:
    generator = recording.generator
    yield from given[: generator.n_tokens] if generator else given
    while generator and not generator.over:
        (take,) = one_pass(recording.scorer.model, [generator])
        yield from (id for id, _ in take())
