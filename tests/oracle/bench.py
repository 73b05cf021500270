"""Measures cases: what the suite asserts and what the parity report prints."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cases import Case, folder_of
from comparison import TOLERANCES, Stages, beyond, errors, heard, stages
from reference import Oracle

from voxrun.transcriber import Transcriber

NEAR_TIE = 2 * TOLERANCES["logits"]
"""A closer race between two logits, relative to the largest, may end either way: take other audio."""


@dataclass(frozen=True)
class Expected:
    """What the oracle says of a case."""

    tokens: list[int]
    margin: float
    """The closest race between the best two logits along the way, relative to the largest."""
    stages: Stages


@dataclass(frozen=True)
class Measured:
    """How far voxrun is from the oracle."""

    case: Case
    errors: dict[str, float]
    tokens: int
    same_tokens: bool
    margin: float

    @property
    def passed(self) -> bool:
        """Whether every stage is within its tolerance and the tokens are the oracle's."""
        return self.same_tokens and not beyond(self.errors)


class Bench:
    """Models under a folder, each written and loaded once; the oracle's answers, each asked for once."""

    def __init__(self, folder: Path) -> None:
        self.folder = cache(lambda model: folder_of(model, folder))
        self.oracle = cache(lambda model: Oracle(self.folder(model)))
        self.transcriber = cache(lambda model: Transcriber.open(self.folder(model)))
        self.expected = cache(self._expected)

    def _expected(self, case: Case) -> Expected:
        oracle, samples = self.oracle(case.model), case.samples
        tokens, margin = oracle.greedy(samples, case.n_delay)
        return Expected(tokens, margin, oracle.stages(samples, tokens, case.n_delay))

    def errors(self, case: Case, transcriber: Transcriber) -> dict[str, float]:
        """The error of every stage, with the oracle's greedy tokens as the history."""
        expected = self.expected(case)
        ours = stages(transcriber, case.samples, expected.tokens, case.delay_ms, given=expected.stages)
        return errors(ours, expected.stages)

    def measure(self, case: Case) -> Measured:
        """All figures of a case."""
        transcriber, expected = self.transcriber(case.model), self.expected(case)
        said = heard(transcriber.session(delay_ms=case.delay_ms), [case.samples])
        return Measured(
            case=case,
            errors=self.errors(case, transcriber),
            tokens=len(said.tokens),
            same_tokens=said.tokens == expected.tokens,
            margin=expected.margin,
        )
