"""Gates at their limits, KL divergence, and an artifact compared with itself."""

import math

import pytest
from projects import make_project

from voxbuild.recipes.book import read_book
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.origins.base import Clip
from voxbuild.sources.clips import read_clips
from voxbuild.validate.measure import Heard, _kl, check, fidelity, listen, report
from voxrun.device import mx


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
    (result,) = check(Gates(**{name: limit}), {name: measured})
    assert (result["name"], result["limit"], result["passed"]) == (name, limit, passed)


def test_gates_that_are_not_set_are_not_checked():
    assert check(Gates(), {"wer": 1000.0}) == []


def test_kl_is_zero_for_equal_logits_and_known_otherwise():
    p = mx.array([[1.0, 2.0, 3.0], [50.0, -50.0, 0.0]])
    assert _kl(p, p).tolist() == [0.0, 0.0]
    assert _kl(p, p + 7).tolist() == pytest.approx([0.0, 0.0], abs=1e-5)
    half, skewed = mx.array([[0.0, 0.0]]), mx.log(mx.array([[0.9, 0.1]]))
    assert _kl(half, skewed).item() == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1))
    assert _kl(skewed, half).item() == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))
    assert math.isnan(_kl(p, mx.array([[math.nan, 0, 0]]))[0].item()), "a broken model must not look perfect"


def test_the_report_counts_what_was_heard(tmp_path):
    clips = {
        "a": [Clip("a/1", tmp_path, "one two"), Clip("a/2", tmp_path, "three four")],
        "b": [Clip("b/1", tmp_path, "five")],
    }
    heard = {"a/1": Heard("one two", []), "a/2": Heard("three or", []), "b/1": Heard("Five.", [])}
    reference = {name: Heard(text.text, []) for name, text in heard.items()} | {"a/2": Heard("x y", [])}
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


def test_a_model_agrees_with_itself_completely(root, tmp_path):
    project = make_project(tmp_path / "project", clips=1)
    clips = read_clips(read_book(project / "recipes").clips["few"], project / "recipes/clips")
    model, done = root / "tiny/checkpoint", []
    heard = listen(model, clips, lambda: done.append("heard"))
    near = fidelity(model, model, clips, heard, lambda: done.append("compared"))
    assert done == ["heard", "compared"]
    assert near.pop("positions") == len(heard[clips[0].name].tokens)
    assert near == {"top1_agreement": 1.0, "kl_mean": 0.0, "kl_p99": 0.0}
