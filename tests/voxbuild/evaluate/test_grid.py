"""`doit evaluate` over a small project: what is heard, and what is written."""

import csv
import io
import json
import shutil
import subprocess

import pytest
from projects import FAILED, doit, doit_command, executed, make_project

from voxbuild.artifact.variant import Variant
from voxbuild.errors import RecipeError
from voxbuild.evaluate import report
from voxbuild.evaluate.local import Local
from voxbuild.files import read_json
from voxbuild.recipes.book import read_book
from voxbuild.workspace import Workspace

pytestmark = pytest.mark.slow

ASKED = ("evaluate", "recipe=4bit,2bit", "delays=80,480")
MODELS, DELAYS, GROUPS = ("unquantized", "4bit", "2bit"), (80, 480), (None, "few")


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """A project in which nothing was built before it was evaluated."""
    project = make_project(tmp_path_factory.mktemp("evaluated") / "project", clips=2)
    done = doit(project, *ASKED)
    assert done.returncode == 0, done.stdout
    assert {"convert:tiny:4bit", "convert:tiny:2bit"} <= set(executed(done))
    return project


@pytest.fixture
def project(evaluated, tmp_path):
    return shutil.copytree(evaluated, tmp_path / "project", symlinks=True)


class Counting(Local):
    """Tells what it hears."""

    heard = ()

    def run(self, jobs):
        self.heard = [(job.model.name, job.delay_ms, job.name) for job in jobs]
        return super().run(jobs)


@pytest.fixture
def evaluate(monkeypatch):
    """Evaluate a project in this process; what was heard."""

    def hear(project, delays, recipes=("4bit", "2bit"), form="table", embed_audio=False):
        runners = [Counting()]
        monkeypatch.setattr(report, "runner_for", lambda scheduler: runners[0])
        work, book = Workspace(project), read_book(project / "recipes")
        variants = [Variant(work, book, book.source("tiny"), book.recipe(name)) for name in recipes]
        report.evaluate(variants, delays, form, embed_audio, None)
        return runners[0].heard

    return hear


def content_of(project):
    return read_json(project / "out/tiny/evaluation.json")


def written(project):
    return [(project / f"out/tiny/evaluation.{end}").read_bytes() for end in ("json", "html")]


def output(project, *arguments):
    """The exit status, stdout and stderr."""
    done = subprocess.run(doit_command(*arguments), cwd=project, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_every_variant_hears_every_clip_at_every_delay(evaluated):
    content = content_of(evaluated)
    cells = [(cell["variant"], cell["delay_ms"], cell["set"]) for cell in content["cells"]]
    assert sorted(cells, key=str) == sorted(
        ((m, d, g) for m in MODELS for d in DELAYS for g in GROUPS), key=str
    )
    assert len(content["clips"]) == 2
    for clip in content["clips"].values():
        assert {name: len(texts) for name, texts in clip["heard"].items()} == dict.fromkeys(MODELS, 2)
    for cell in content["cells"]:
        assert cell["wer"]["low"] <= cell["wer"]["value"] <= cell["wer"]["high"]
        compared = [cell[name] for name in ("wer_increase", "text_agreement", "fidelity")]
        assert (compared == [None] * 3) == (cell["variant"] == "unquantized")


def test_the_figures_are_those_of_the_texts(evaluated):
    content = content_of(evaluated)
    for cell in content["cells"]:
        place = content["delays"].index(cell["delay_ms"])
        texts = [clip["texts"][clip["heard"][cell["variant"]][place]] for clip in content["clips"].values()]
        errors = cell["substitutions"] + cell["deletions"] + cell["insertions"]
        assert sum(text["errors"] for text in texts) == errors
        assert cell["wer"]["value"] == pytest.approx(100 * errors / cell["words"], abs=0.01)


def test_what_was_heard_is_not_heard_again_and_gives_the_same_bytes(project, evaluate):
    before = written(project)
    assert evaluate(project, [480, 80]) == ()
    assert written(project) == before


def test_another_delay_or_name_hears_only_what_is_new(project, evaluate):
    (project / "recipes/4bit.yaml").rename(project / "recipes/other.yaml")
    text = (project / "recipes/other.yaml").read_text()
    (project / "recipes/other.yaml").write_text(text.replace("name: 4bit", "name: other"))
    (project / "out/tiny/4bit").rename(project / "out/tiny/other")
    heard = evaluate(project, [80, 160], recipes=("other",))
    assert {(model, delay) for model, delay, _ in heard} == {("other", 160)}
    assert content_of(project)["delays"] == [80, 160]  # what was asked for, and no more


def test_without_delays_it_is_the_models_own(project, evaluate):
    assert evaluate(project, []) == ()
    assert content_of(project)["delays"] == [480] == [content_of(project)["default_delay"]]


def test_output_for_programs_is_alone_on_stdout(project):
    status, out, err = output(project, *ASKED, "--format", "json")
    assert (status, json.loads(out)) == (0, content_of(project))
    assert "convert:tiny:4bit" in err
    status, out, _ = output(project, *ASKED, "--format=csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (status, len(rows)) == (0, len(content_of(project)["cells"]))
    for row, cell in zip(rows, content_of(project)["cells"], strict=True):
        assert (row["variant"], float(row["delay_ms"]), row["set"]) == (
            cell["variant"],
            cell["delay_ms"],
            cell["set"] or "",
        )
        assert float(row["wer_high"]) == cell["wer"]["high"]
        assert row["kl_mean"] == (
            "" if cell["fidelity"] is None else str(cell["fidelity"]["kl_mean"]["value"])
        )


def test_all_that_is_built_is_evaluated_without_recipe(project):
    shutil.rmtree(project / "out/tiny/2bit")
    done = doit(project, "evaluate")
    assert done.returncode == 0, done.stdout
    assert set(content_of(project)["variants"]) == {"unquantized", "4bit"}
    assert not (project / "out/tiny/2bit").exists()


def test_recordings_are_linked_or_embedded(project, evaluate):
    evaluate(project, [480])
    page = project / "out/tiny/evaluation.html"
    addresses = [f"../../few/{path.name}" for path in (project / "few").glob("*.flac")]
    assert all(f'"audio":"{address}"' in page.read_text() for address in addresses)
    assert all((page.parent / address).is_file() for address in addresses)
    evaluate(project, [480], embed_audio=True)
    assert page.read_text().count('"audio":"data:audio/flac;base64,') == len(addresses)


def test_both_files_are_written_or_none(project, evaluate):
    page = project / "out/tiny/evaluation.html"
    page.unlink()
    page.mkdir()
    before = (project / "out/tiny/evaluation.json").read_bytes()
    with pytest.raises(OSError, match=r"evaluation\.html"):
        evaluate(project, [480])
    assert (project / "out/tiny/evaluation.json").read_bytes() == before
    there = sorted(path.name for path in (project / "out/tiny").iterdir())
    assert there == ["2bit", "4bit", "evaluation.html", "evaluation.json"]


@pytest.mark.parametrize(
    ("delays", "said"),
    [
        ("delays=100", "delays=100: a delay of 100 ms is not possible: it must be a multiple of 80"),
        ("delays=fast", "delays=fast: say milliseconds, separated by commas, such as delays=160,480"),
        ("delays=nan,80", "delays=nan,80: say milliseconds"),
    ],
)
def test_an_impossible_delay_is_refused(project, delays, said):
    before = written(project)
    done = doit(project, "evaluate", "recipe=4bit", delays)
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert written(project) == before


def test_what_is_not_built_is_told_with_the_command(project, evaluate, tmp_path):
    shutil.rmtree(project / "out/tiny/2bit")
    with pytest.raises(RecipeError, match="2bit: not built; run `doit build recipe=2bit source=tiny` first"):
        evaluate(project, [480])
    shutil.rmtree(project / "out/tiny/4bit")
    done = doit(project, "evaluate", "source=tiny")
    assert done.returncode in FAILED
    assert "nothing is built over tiny; name recipes with recipe=NAME" in done.stdout
