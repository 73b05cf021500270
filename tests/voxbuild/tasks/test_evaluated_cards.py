"""What `doit evaluate` found of an artifact comes into its card with the next build."""

import pytest
from projects import doit, edit, executed, make_project, skipped

from voxbuild.files import read_json

pytestmark = pytest.mark.slow

AFTER = {f"{stage}:tiny:4bit" for stage in ("card", "provenance", "manifest")}
"""The stages that describe the weights anew."""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A built project whose artifact was then evaluated at two delays."""
    project = make_project(tmp_path_factory.mktemp("evaluated-card") / "project", ("4bit",), clips=1)
    for asked in ("build", "evaluate"):
        done = doit(project, asked, "recipe=4bit", "delays=80,480")
        assert done.returncode == 0, done.stdout
    return project


def build(project):
    done = doit(project, "build", "recipe=4bit")
    assert done.returncode == 0, done.stdout
    return done


def card_of(project):
    return (project / "out/tiny/4bit/README.md").read_text()


def test_the_card_follows_the_evaluation(project):
    assert "WER % by delay" not in card_of(project)
    done = build(project)
    assert set(executed(done)) >= AFTER
    assert {"convert:tiny:4bit", "validate:tiny:4bit"} <= set(skipped(done))
    assert "WER % by delay" in card_of(project)
    assert not executed(build(project))

    published = doit(project, "publish", "recipe=4bit")
    assert published.returncode == 0, published.stdout
    (release,) = (project / "out/registry").glob("*/snapshots/*")
    own, whole = read_json(release / "evaluation.json"), read_json(project / "out/tiny/evaluation.json")
    assert own["variant"] == whole["variants"]["4bit"]
    assert [cell["wer"] for cell in own["cells"]] == [
        cell["wer"] for cell in whole["cells"] if cell["variant"] == "4bit"
    ]


def test_an_edited_or_lost_evaluation_is_written_again(project):
    build(project)
    path = project / "out/tiny/4bit/evaluation.json"
    before = path.read_bytes()
    for spoil in (lambda: edit(path, '"delays"', '"delay"'), path.unlink):
        spoil()
        assert "card:tiny:4bit" in executed(build(project))
        assert path.read_bytes() == before


def test_a_card_of_other_weights_has_no_evaluation(project):
    build(project)
    edit(project / "recipes/4bit.yaml", "bits: 4", "bits: 5")
    assert "convert:tiny:4bit" in executed(build(project))
    assert "WER % by delay" not in card_of(project)
    assert not (project / "out/tiny/4bit/evaluation.json").exists()
    assert not executed(build(project))
