"""Gates at their limits, the report of what was heard, and a source that is judged."""

import json
import math

import pytest

from voxbuild.errors import ValidationError
from voxbuild.evaluate.jobs import Result
from voxbuild.files import to_json
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.origins.base import Clip
from voxbuild.validate.gates import check, gates_table
from voxbuild.validate.measure import check_reference
from voxbuild.validate.report import report

FIGURES = {"wer": 0.0, "wer_increase": 0.0, "top1_agreement": 1.0, "kl_mean": 0.0, "kl_p99": 0.0}


@pytest.mark.parametrize(
    ("name", "limit", "measured", "passed"),
    [
        ("wer", 5.0, 5.0, True),
        ("wer", 5.0, 5.01, False),
        ("wer_increase", 0.0, 0.0, True),
        ("wer_increase", 0.0, -1.0, True),
        ("wer_increase", 0.0, 0.01, False),
        ("top1_agreement", 0.95, 0.95, True),
        ("top1_agreement", 0.95, 0.9499, False),
        ("kl_mean", 0.1, 0.1, True),
        ("kl_mean", 0.1, 0.100001, False),
        ("kl_mean", 0.1, math.nan, False),
        ("kl_p99", 1.0, math.inf, False),
        ("top1_agreement", 0.95, math.nan, False),
    ],
)
def test_a_gate_is_passed_up_to_its_limit(name, limit, measured, passed):
    results = check(Gates(**{name: limit}), FIGURES | {name: measured})
    (result,) = (result for result in results if result["name"] == name)
    assert (result["limit"], result["passed"]) == (limit, passed)


def test_gates_that_are_not_set_are_not_checked():
    figures = FIGURES | {"wer_increase": 1000.0, "kl_mean": 1000.0, "top1_agreement": 0.0}
    assert [gate["name"] for gate in check(Gates(), figures)] == ["wer"]


@pytest.mark.parametrize("name", ["top1_agreement", "kl_mean", "kl_p99"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_fails_even_without_a_limit(name, value):
    failed = [gate for gate in check(Gates(), FIGURES | {name: value}) if not gate["passed"]]
    assert failed == [{"name": name, "limit": None, "measured": None, "passed": False}]


def test_a_model_that_does_not_hear_the_clips_fails_without_any_limit():
    assert [gate["passed"] for gate in check(Gates(), FIGURES | {"wer": 75.0})] == [True]
    assert check(Gates(), FIGURES | {"wer": 75.01}) == [
        {"name": "wer", "limit": 75.0, "measured": 75.01, "passed": False}
    ]


def test_the_report_counts_what_was_heard(tmp_path):
    clips = {
        "a": [Clip("a/1", tmp_path, "one two"), Clip("a/2", tmp_path, "three four")],
        "b": [Clip("b/1", tmp_path, "five")],
    }
    heard = {
        "a/1": Result("one two", (), 1.0),
        "a/2": Result("three or", (), 1.0),
        "b/1": Result("Five.", (), 1.0),
    }
    reference = {name: Result(text.text, (), 1.0) for name, text in heard.items()} | {
        "a/2": Result("x y", (), 1.0)
    }
    near = {"positions": 9, "top1_agreement": 1.0, "kl_mean": 0.0, "kl_p99": 0.0}
    result = report(clips, heard, reference, near, Gates(wer=25.0, wer_increase=0.0))
    assert result["total"]["wer"] == 20.0
    assert result["unquantized"]["wer"] == 40.0
    assert {name: s["wer"] for name, s in result["sets"].items()} == {"a": 25.0, "b": 0.0}
    assert result["sets"]["a"]["unquantized_wer"] == 50.0
    assert [(g["name"], g["measured"], g["passed"]) for g in result["gates"]] == [
        ("wer", 25.0, True),  # the worst set decides
        ("wer_increase", 0.0, True),
    ]
    assert result["passed"]
    assert result["clips"]["a/2"] == {
        "reference": "three four",
        "heard": "three or",
        "wer": 50.0,
        "cer": 20.0,
    }
    assert not report(clips, heard, reference, near, Gates(wer=24.9, wer_increase=0.0))["passed"]


def test_a_report_with_figures_that_are_not_finite_is_json_and_a_table(tmp_path):
    clips, heard = {"a": [Clip("a/1", tmp_path, "one")]}, {"a/1": Result("one", (), 1.0)}
    near = {"positions": 9, "top1_agreement": 1.0, "kl_mean": math.nan, "kl_p99": math.nan}
    result = report(clips, heard, heard, near, Gates(wer_increase=0.0, kl_mean=0.1))
    assert not result["passed"]
    assert json.loads(to_json(result), parse_constant=pytest.fail)["fidelity"]["kl_mean"] is None
    lines = gates_table(result).splitlines()
    for name, limit in (("kl_mean", "0.1"), ("kl_p99", "a number")):
        (line,) = (line for line in lines if name in line)
        assert [cell.strip() for cell in line.split("|")[2:-1]] == [limit, "not finite", "FAIL"]


def test_a_source_that_does_not_hear_the_clips_is_refused(tmp_path):
    clips = [Clip("few/1", tmp_path, "press one"), Clip("few/2", tmp_path, "press two")]
    check_reference("mine", "few", clips, ["press one", "press"])
    with pytest.raises(ValidationError, match=r"source mine has a WER of 100 % on few; 75 % is the limit"):
        check_reference("mine", "few", clips, ["el perro", "de san"])
