"""Gates: what is proven passes; a true loss and too few words fail, and say which of both it is."""

from dataclasses import replace
from math import nan
from pathlib import Path

import numpy as np
import pytest

from voxbuild.evaluate.figures import figures
from voxbuild.evaluate.jobs import Result
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.origins.base import Clip
from voxbuild.statistics.estimate import UNKNOWN, Estimate
from voxbuild.statistics.normalise import normaliser_for
from voxbuild.validate.gates import check

FIDELITY = ("top1_agreement", "kl_mean", "kl_p99")


def measured(texts, clips=48, wrong_in_source=0, kl=0.0):
    """Figures of clips of ten words; `texts`: clip -> what the model wrote in place of the true text."""
    true = "a b c d e f g h i j"
    members = [Clip(f"few/{n}", Path("few"), true) for n in range(clips)]
    near = {"kl": np.full(20, kl, np.float32), "same": np.ones(20, np.bool_)}
    ours = [Result(texts.get(n, true), (), 1.0, **near) for n in range(clips)]
    theirs = [Result("x" + true[1:] if n < wrong_in_source else true, (), 1.0) for n in range(clips)]
    return figures(members, ours, theirs, normaliser_for("de"))


def gate(name, limit, over_all, sets=None):
    results = check(Gates(**{name: limit}), over_all, sets or {"few": over_all})
    return next(result for result in results if result["name"] == name)


def with_figure(name, value, low, high):
    """Figures of which one is as given."""
    exact, estimate = measured({}), Estimate(value, low, high)
    if name in FIDELITY:
        return replace(exact, fidelity=replace(exact.fidelity, **{name: estimate}))
    return replace(exact, **{name: estimate})


@pytest.mark.parametrize(
    ("name", "limit", "low", "value", "high", "passed"),
    [
        ("wer", 5.0, 3.0, 4.0, 5.0, True),
        ("wer", 5.0, 3.0, 4.0, 5.01, False),
        ("wer_increase", 1.0, -1.0, 0.0, 1.0, True),
        ("wer_increase", 1.0, -1.0, 0.0, 1.01, False),
        ("wer_increase", 0.0, -2.0, -1.0, 0.0, True),
        ("top1_agreement", 0.95, 0.95, 0.96, 0.97, True),
        ("top1_agreement", 0.95, 0.9499, 0.96, 0.97, False),
        ("kl_mean", 0.1, 0.0, 0.05, 0.1, True),
        ("kl_mean", 0.1, 0.0, 0.05, 0.100001, False),
        ("kl_p99", 1.0, 0.0, 0.5, 1.0, True),
        ("kl_p99", 1.0, 0.0, 0.5, 1.01, False),
    ],
)
def test_a_gate_is_passed_if_the_whole_interval_is_within_its_limit(name, limit, low, value, high, passed):
    result = gate(name, limit, with_figure(name, value, low, high))
    assert (result["limit"], result["passed"]) == (limit, passed)
    assert (result["why"] is None) == passed


def test_clips_that_are_too_few_to_tell_fail_and_say_how_many_words_would_do():
    result = gate("wer_increase", 0.5, measured({}))
    assert result["measured"]["value"] == 0
    assert not result["passed"]
    assert result["why"] == (
        "the 48 clips with 480 words are too few to say that the WER rises by at most 0.5 points:"
        " about 1,200 words would do"
    )
    enough = measured({}, clips=120)
    assert gate("wer_increase", 0.5, enough)["passed"]


def test_the_words_that_are_asked_for_do():
    changed = dict.fromkeys((0, 7), "x") | {30: ""}
    few = gate("wer", 20.0, measured(changed))
    words = int(few["why"].rsplit("about ")[1].split()[0].replace(",", ""))
    times = -(-words // 480)
    more = measured({n + 48 * k: text for n, text in changed.items() for k in range(times)}, 48 * times)
    assert gate("wer", 20.0, more)["passed"]


def test_a_true_loss_is_told_from_too_few_words():
    deaf = measured(dict.fromkeys(range(40), "a b c x e f g h i j"))
    why = gate("wer_increase", 3.0, deaf)["why"]
    assert why.startswith("a true loss: the WER rises by 8.33 (")
    assert why.endswith(" points, the limit is 3")
    unsure = measured(dict.fromkeys(range(16), "a b c x e f g h i j"))
    assert gate("wer_increase", 3.0, unsure)["why"].startswith("a loss, or chance: the WER rises by 3.33 (")


def test_a_true_loss_in_one_clip_set_is_not_made_up_for_by_the_others():
    good, bad = measured({}, clips=400), measured(dict.fromkeys(range(8), "x"), clips=10)
    over_all = measured(dict.fromkeys(range(8), "x"), clips=410)
    sets = {"good": good, "bad": bad}
    assert gate("wer_increase", 5.0, over_all, {"all": over_all})["passed"]
    why = gate("wer_increase", 5.0, over_all, sets)["why"]
    assert why.startswith("a true loss in bad: the WER rises by 80.00 (")


def test_a_floor_is_broken_from_below():
    assert gate("top1_agreement", 0.9, with_figure("top1_agreement", 0.5, 0.4, 0.6))["why"].startswith(
        "a true loss: the share of positions with the same likeliest token is 0.5"
    )
    few = gate("top1_agreement", 0.9, with_figure("top1_agreement", 0.95, 0.85, 0.99))
    assert few["why"].endswith("token is at least 0.9: about 1,900 words would do")


def test_gates_that_are_not_set_are_not_checked():
    assert [result["name"] for result in check(Gates(), measured({}, kl=9.0), {})] == ["wer"]


@pytest.mark.parametrize("name", FIDELITY)
def test_a_figure_that_is_not_finite_fails_even_without_a_limit(name):
    over_all = with_figure(name, nan, nan, nan)
    failed = [each for each in check(Gates(), over_all, {"few": over_all}) if not each["passed"]]
    assert failed == [{"name": name, "limit": None, "measured": None, "passed": False, "why": "not finite"}]


def test_three_clips_pass_where_no_limit_is_set():
    few = measured({0: "a b c d e f g h"}, clips=3)
    assert all(result["passed"] for result in check(Gates(), few, {"few": few}))


def test_a_model_that_does_not_hear_a_clip_set_fails_without_any_limit():
    over_all, deaf = measured({}), measured(dict.fromkeys(range(48), "x"))
    result = gate("wer", 75.0, over_all, {"few": over_all, "other": deaf})
    assert result["why"] == "the model does not hear other: the WER is above 75 %"
    strict = gate("wer", 50.0, over_all, {"few": over_all, "other": deaf})
    assert strict["why"] == result["why"]


def test_what_cannot_be_measured_fails():
    silent = replace(measured({}), fidelity=None)
    assert not any(result["passed"] for result in check(Gates(kl_mean=1.0), silent, {})[1:])
    assert not gate("wer", 5.0, replace(measured({}), wer=UNKNOWN))["passed"]
