"""The report of `doit parity`: committed, of every case, passing; without PyTorch, one sentence."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from cases import CASES
from committed import ROOT
from comparison import TOLERANCES

pytest.importorskip("doit")

from doit.exceptions import TaskFailed

from voxbuild.tasks import actions, show

REPORT = (ROOT / show.PARITY_REPORT).read_text(encoding="utf-8")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_committed_report_has_every_case_and_it_passes(case: Any) -> None:
    told = rf"^\| {case.model} +\| {re.escape(case.recording)} +\| {case.delay_ms} +\|.* \| pass \|$"
    assert re.search(told, REPORT, re.MULTILINE)


@pytest.mark.parametrize("stage", TOLERANCES)
def test_the_committed_report_has_the_limits(stage: str) -> None:
    limit = f"{TOLERANCES[stage]:.0e}"
    assert re.search(rf"^\| {stage} +\|[^|]+\|[^|]+\| {limit} +\| pass \|", REPORT, re.MULTILINE)


def test_without_the_oracle_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for name in ("tiny", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(show, "find_spec", lambda name: None if name == "torch" else find_spec(name))
    failed = actions.run(show.compare_with_transformers)
    assert isinstance(failed, TaskFailed)
    assert failed.get_msg().startswith("the oracle needs torch")
    assert "pip install -e '.[oracle]'" in failed.get_msg()


@pytest.mark.oracle
def test_a_figure_beyond_its_limit_is_told() -> None:
    pytest.importorskip("torch")
    from bench import Measured
    from parity import report

    bad = Measured(CASES[0], dict.fromkeys(TOLERANCES, 1e-9) | {"encoder": 1e-3}, 35, False, 0.1)
    text = "\n".join(report([bad]))
    assert re.search(r"^\| encoder .*\| FAIL \|", text, re.MULTILINE)
    assert re.search(r"\*\*1e-03\*\*.*\*\*35 differ\*\*.*\| FAIL \|$", text, re.MULTILINE)
    assert re.search(r"^\| tokens .*0 of 1 equal.*\| FAIL \|", text, re.MULTILINE)
