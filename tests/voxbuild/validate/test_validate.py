"""Gates at their limits, KL divergence, and an artifact compared with itself."""

import json
import math
import threading
from dataclasses import asdict, replace

import pytest
from projects import make_project
from small_sources import unusable_model

from voxbuild.errors import ValidationError
from voxbuild.files import to_json
from voxbuild.recipes.book import read_book
from voxbuild.recipes.gates import Gates
from voxbuild.recipes.origins.base import Clip
from voxbuild.sources.clips import read_clips
from voxbuild.validate.gates import check, gates_table
from voxbuild.validate.measure import Heard, _kl, check_reference, fidelity, listen
from voxbuild.validate.report import report
from voxrun.device import mx
from voxrun.errors import AudioError
from voxrun.transcriber import Transcriber

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


def test_a_report_with_figures_that_are_not_finite_is_json_and_a_table(tmp_path):
    clips, heard = {"a": [Clip("a/1", tmp_path, "one")]}, {"a/1": Heard("one", [])}
    near = {"positions": 9, "top1_agreement": 1.0, "kl_mean": math.nan, "kl_p99": math.nan}
    result = report(clips, heard, heard, near, Gates(wer_increase=0.0, kl_mean=0.1))
    assert not result["passed"]
    assert json.loads(to_json(result), parse_constant=pytest.fail)["fidelity"]["kl_mean"] is None
    lines = gates_table(result).splitlines()
    for name, limit in (("kl_mean", "0.1"), ("kl_p99", "a number")):
        (line,) = (line for line in lines if name in line)
        assert [cell.strip() for cell in line.split("|")[2:-1]] == [limit, "not finite", "FAIL"]


def test_a_source_without_finite_results_is_to_blame_itself(root, tmp_path):
    project = make_project(tmp_path / "project", clips=1)
    clips = read_clips(read_book(project / "recipes").clips["few"], project / "recipes/clips")
    good, broken = root / "tiny/checkpoint", unusable_model(tmp_path / "model")
    heard = listen(broken, clips, lambda: None)
    with pytest.raises(ValidationError, match="source mine is not usable: its weights give no finite"):
        check_reference("mine", "few", broken, clips, heard)
    with pytest.raises(ValidationError, match="the unquantized source mine is not usable"):
        fidelity("mine", good, broken, clips, heard, lambda: None)
    near = fidelity("tiny", broken, good, clips, listen(good, clips, lambda: None), lambda: None)
    assert math.isnan(near["kl_mean"])
    assert math.isnan(near["kl_p99"])


def test_a_source_that_does_not_hear_the_clips_is_refused(root, tmp_path):
    project = make_project(tmp_path / "project", clips=1)
    clips = read_clips(read_book(project / "recipes").clips["few"], project / "recipes/clips")
    other = [replace(clip, text="el perro de san roque") for clip in clips]
    model = root / "tiny/checkpoint"
    heard = listen(model, clips, lambda: None)
    check_reference("mine", "few", model, clips, heard)
    with pytest.raises(ValidationError, match=r"source mine has a WER of 100 % on few; 75 % is the limit"):
        check_reference("mine", "few", model, other, heard)


def heard_at_once(monkeypatch, jobs, model, clips):
    """What is heard, as JSON, and the clips that were done by each thread."""
    monkeypatch.setattr("voxbuild.calibrate.recordings.sessions_at_once", lambda model: jobs)
    done = []
    heard = listen(model, clips, lambda: done.append(threading.current_thread()))
    near = {"positions": 9, "top1_agreement": 1.0, "kl_mean": 0.0, "kl_p99": 0.0}
    evidence = report({"few": clips}, heard, heard, near, Gates())
    return to_json({name: asdict(each) for name, each in heard.items()}), to_json(evidence), done


@pytest.mark.slow
def test_clips_heard_at_once_give_the_same_evidence_as_one_by_one(root, tmp_path, monkeypatch):
    project = make_project(tmp_path / "project", clips=4)
    clips = read_clips(read_book(project / "recipes").clips["few"], project / "recipes/clips")
    clips.sort(key=lambda clip: -clip.path.stat().st_size)  # later ones are heard sooner
    model = root / "tiny/checkpoint"
    one = heard_at_once(monkeypatch, 1, model, clips)
    assert one[2] == [threading.current_thread()] * len(clips)
    assert heard_at_once(monkeypatch, 3, model, clips) == one


def test_a_clip_that_cannot_be_read_ends_the_hearing(root, tmp_path, monkeypatch):
    project = make_project(tmp_path / "project", clips=2)
    clips = read_clips(read_book(project / "recipes").clips["few"], project / "recipes/clips")
    bad = [replace(clips[1], name=name, path=tmp_path / f"{name}.wav") for name in ("absent", "other")]
    with pytest.raises(AudioError, match=r"absent\.wav: cannot be read"):
        heard_at_once(monkeypatch, 3, root / "tiny/checkpoint", [clips[0], *bad])


def test_an_interruption_leaves_the_clips_that_were_not_begun(root, tmp_path, monkeypatch):
    project = make_project(tmp_path / "project", clips=1)
    clips = read_clips(read_book(project / "recipes").clips["few"], project / "recipes/clips")
    begun, transcribe = [], Transcriber.transcribe

    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr("voxbuild.calibrate.recordings.sessions_at_once", lambda model: 2)
    monkeypatch.setattr(Transcriber, "transcribe", lambda *args: begun.append(1) or transcribe(*args))
    with pytest.raises(KeyboardInterrupt):
        listen(root / "tiny/checkpoint", clips * 50, interrupt)
    for thread in [t for t in threading.enumerate() if t.name.startswith("voxbuild-listen")]:
        thread.join(60)
        assert not thread.is_alive()
    assert len(begun) < 50


def test_a_model_agrees_with_itself_completely(root, tmp_path):
    project = make_project(tmp_path / "project", clips=1)
    clips = read_clips(read_book(project / "recipes").clips["few"], project / "recipes/clips")
    model, done = root / "tiny/checkpoint", []
    heard = listen(model, clips, lambda: done.append("heard"))
    near = fidelity("tiny", model, model, clips, heard, lambda: done.append("compared"))
    assert done == ["heard", "compared"]
    assert near.pop("positions") == len(heard[clips[0].name].tokens)
    assert near == {"top1_agreement": 1.0, "kl_mean": 0.0, "kl_p99": 0.0}
