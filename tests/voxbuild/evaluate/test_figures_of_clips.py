"""The figures of a model over clips, and over several clip sets together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxbuild.evaluate.figures import figures, pooled, scored
from voxbuild.evaluate.jobs import Result
from voxbuild.recipes.origins.base import Clip
from voxbuild.statistics.normalise import normaliser_for

ENGLISH, CHINESE = normaliser_for("en"), normaliser_for("zh")


def clip(text, speaker=None, name="set/one"):
    return Clip(name, Path("one.wav"), text, speaker)


def result(text, kl=(0.0, 0.0), same=(True, True)):
    return Result(text, (), 1.0, np.array(kl, np.float32), np.array(same))


CLIPS = [clip("one two three four"), clip("five"), clip("six seven")]
OURS = [result("one two four", (0.0, 1.0), (True, False)), result("five"), result("six eleven", (3.0, 0.0))]
THEIRS = [Result(text, (), 1.0) for text in ("one two three four", "nine", "six seven")]


def test_every_figure_is_that_of_all_clips_together():
    found = figures(CLIPS, OURS, THEIRS, normaliser_for("en", digits=True)).as_json()
    assert (found["clips"], found["words"], found["speakers"]) == (3, 7, None)
    assert (found["substitutions"], found["deletions"], found["insertions"]) == (1, 1, 0)
    values = {
        key: found[key]["value"] for key in ("wer", "unquantized_wer", "wer_increase", "text_agreement")
    }
    assert values == {"wer": 28.57, "unquantized_wer": 14.29, "wer_increase": 14.29, "text_agreement": 0.0}
    near = found["fidelity"]
    assert near["positions"] == 6
    assert (near["top1_agreement"]["value"], near["kl_mean"]["value"]) == (0.833333, 0.666667)
    assert near["kl_p99"]["value"] == pytest.approx(2.9)
    assert near["kl_p99"]["high"] == 3.0


def test_texts_are_compared_to_the_letter():
    ours = [result("It is five."), result("It is 5."), result("No")]
    theirs = [result("It is five."), result("It is five."), result("No")]
    found = figures([clip("it is five")] * 3, ours, theirs, ENGLISH)
    assert found.wer_increase.value == 0
    assert found.text_agreement.value == pytest.approx(2 / 3)
    assert found.character_agreement.value == pytest.approx(1 - 4 / 24)
    assert found.text_agreement.low < 2 / 3 < found.text_agreement.high <= 1


def test_a_model_compared_with_itself_differs_in_nothing_but_what_is_not_proven():
    found = figures(CLIPS, OURS, OURS, ENGLISH)
    assert found.wer_increase.value == 0
    assert found.wer_increase.low < 0 < found.wer_increase.high
    assert found.text_agreement.value == found.character_agreement.value == 1
    assert found.wer == found.unquantized_wer


def test_clip_sets_of_several_languages_are_pooled():
    english = scored(CLIPS, OURS, THEIRS, ENGLISH)
    chinese = scored([clip("\u4f60\u597d")], [result("\u4f60\u4eec")], [result("\u4f60\u597d")], CHINESE)
    both = pooled(english + chinese)
    assert both.errors.words == pooled(english).errors.words + 2
    assert both.errors.word_errors == pooled(english).errors.word_errors + 1


def test_speakers_are_counted_if_all_are_known():
    assert figures([clip("a", "x"), clip("a", "y"), clip("a", "x")], OURS, OURS, ENGLISH).speakers == 2
    assert figures([clip("a", "x"), clip("a"), clip("a", "x")], OURS, OURS, ENGLISH).speakers is None


def test_figures_that_are_not_finite_are_null():
    ours = [result("one", (np.nan, 0.0)), *OURS[1:]]
    found = figures(CLIPS, ours, THEIRS, ENGLISH).as_json()
    assert found["fidelity"]["kl_mean"] is found["fidelity"]["kl_p99"] is None
    assert found["fidelity"]["top1_agreement"] is not None
    json.dumps(found, allow_nan=False)


def test_a_model_that_was_not_compared_has_no_fidelity():
    ours = [OURS[0], replace(OURS[1], kl=None), OURS[2]]
    assert figures(CLIPS, ours, THEIRS, ENGLISH).as_json()["fidelity"] is None
