"""Random models of awkward sizes, and the embedded one: voxrun computes what transformers does in float32."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from bench import NEAR_TIE, Bench
from cases import CASES, Case
from comparison import beyond
from mutants import MUTANTS, Mutant

pytestmark = pytest.mark.oracle


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_stage_is_within_its_tolerance_and_the_tokens_are_the_oracles(bench: Bench, case: Case) -> None:
    measured = bench.measure(case)
    assert {stage: measured.errors[stage] for stage in beyond(measured.errors)} == {}
    assert measured.margin > NEAR_TIE  # a difference is a fault, not a tie
    assert measured.same_tokens


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_turns_its_stages_red_and_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mutant: Mutant
) -> None:
    found = bench.errors(mutant.case, mutant.make(bench.folder(mutant.case.model), monkeypatch))
    assert beyond(found) - {"whole"} == mutant.red
