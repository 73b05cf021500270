"""Gates at their limits, the report of what was heard, and a source that is judged."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from voxbuild.errors import ValidationError
from voxbuild.evaluate.jobs import Result
from voxbuild.files import to_json
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.origins.folder import ClipFolder
from voxbuild.recipes.source import ClipSet
from voxbuild.statistics.normalise import normaliser_for
from voxbuild.validate.gates import gates_table
from voxbuild.validate.measure import check_reference
from voxbuild.validate.report import report

SPOKEN = normaliser_for("en", digits=True)


def heard_as(text, kl=0.0):
    """A result with three positions."""
    return Result(text, (), 1.0, np.full(3, kl, np.float32), np.ones(3, np.bool_))


def clips_of(**texts):
    return [Clip(f"{name.replace('_', '/')}", Path("few"), text) for name, text in texts.items()]


def test_the_report_counts_what_was_heard():
    clips = {"a": clips_of(a_1="one two", a_2="three four"), "b": clips_of(b_1="five")}
    heard = {
        name: heard_as(text) for name, text in {"a/1": "one two", "a/2": "three or", "b/1": "Five."}.items()
    }
    reference = heard | {"a/2": Result("x y", (), 1.0)}
    result = report(clips, {"a": SPOKEN, "b": SPOKEN}, heard, reference, Gates())
    assert result["total"]["wer"]["value"] == 20.0
    assert result["unquantized"]["wer"]["value"] == 40.0
    assert result["total"]["wer_increase"]["value"] == -20.0
    assert result["total"]["text_agreement"]["value"] == 0.666667
    assert {name: s["wer"]["value"] for name, s in result["sets"].items()} == {"a": 25.0, "b": 0.0}
    assert result["sets"]["a"]["unquantized_wer"]["value"] == 50.0
    assert result["sets"]["a"]["normaliser"] == SPOKEN.name
    assert result["fidelity"]["positions"] == 9
    assert result["passed"]
    assert result["clips"]["a/2"] == {
        "reference": "three four",
        "heard": "three or",
        "unquantized": "x y",
        "wer": 50.0,
        "cer": 20.0,
    }
    assert not report(clips, {"a": SPOKEN, "b": SPOKEN}, heard, reference, Gates(wer=24.9))["passed"]


def test_each_clip_set_is_compared_as_its_language_is():
    clips = {"zh": clips_of(zh_1="\u4f60\u597d\u3002"), "en": clips_of(en_1="It's five.")}
    heard = {"zh/1": heard_as("\u4f60\u4eec"), "en/1": heard_as("it is 5")}
    normalisers = {name: normaliser_for(name) for name in clips}
    result = report(clips, normalisers, heard, heard, Gates())
    assert {name: (s["words"], s["wer"]["value"]) for name, s in result["sets"].items()} == {
        "zh": (2, 50.0),
        "en": (3, 0.0),
    }
    assert result["total"]["words"] == 5


def test_a_report_with_figures_that_are_not_finite_is_json_and_a_table():
    clips, heard = {"a": clips_of(a_1="one")}, {"a/1": heard_as("one", math.nan)}
    result = report(clips, {"a": SPOKEN}, heard, heard, Gates(wer_increase=500.0, kl_mean=0.1))
    assert not result["passed"]
    assert json.loads(to_json(result), parse_constant=pytest.fail)["fidelity"]["kl_mean"] is None
    lines = gates_table(result).splitlines()
    for name, limit in (("kl_mean", "0.1"), ("kl_p99", "a number")):
        (line,) = (line for line in lines if line.startswith(f"| {name}"))
        assert [cell.strip() for cell in line.split("|")[2:-1]] == [limit, "not finite", "FAIL"]
        assert f"{name}: not finite" in lines


def test_the_table_says_why_a_gate_failed():
    clips, heard = {"a": clips_of(a_1="one two three")}, {"a/1": heard_as("one two three")}
    result = report(clips, {"a": SPOKEN}, heard, heard, Gates(wer_increase=1.0))
    assert "wer_increase: the 1 clips with 3 words are too few" in gates_table(result)


def test_a_source_that_does_not_hear_the_clips_is_refused(tmp_path):
    clips = [Clip("few/1", tmp_path, "press one"), Clip("few/2", tmp_path, "press two")]
    few = ClipSet(
        name="few", summary="", folder=ClipFolder(str(tmp_path)), language="en", license="", attribution=""
    )
    check_reference("mine", few, clips, ["press one", "press"])
    with pytest.raises(ValidationError, match=r"source mine has a WER of 100 % on few; 75 % is the limit"):
        check_reference("mine", few, clips, ["el perro", "de san"])
