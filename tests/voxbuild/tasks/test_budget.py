"""A recipe with a budget, from the command line: planned, measured, frozen, converted."""

import json

import pytest
from projects import ROOT, doit, edit, make_project

pytestmark = pytest.mark.slow
BITS = "bits: {average: 3}, search: mse"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("budget") / "project", recipes=("3bit",), clips=1)
    recipe = (project / "recipes/3bit.yaml").read_text()
    budget = recipe.replace("name: 3bit", "name: auto").replace("bits: 3", BITS)
    (project / "recipes/auto.yaml").write_text(budget.replace("card: ", "calibrate: own\ncard: "))
    (project / "recipes/clips/own.yaml").write_text(
        (project / "recipes/clips/few.yaml").read_text().replace("few", "own")
    )
    (project / "own").mkdir()
    calibration = ROOT / "tiny/clips/calibration"
    shortest = min(calibration.glob("*.flac"), key=lambda path: path.stat().st_size)
    (project / "own" / shortest.name).write_bytes(shortest.read_bytes())
    return project


def test_a_budget_from_the_plan_to_the_weights(project):
    plan = doit(project, "plan", "recipe=auto")
    assert (
        "auto over tiny: at most 2,113,664 bytes of tensors. Who gets how many bits is not measured yet"
        in plan.stdout
    )
    assert "`doit measure recipe=auto source=tiny` takes about" in plan.stdout
    frozen = doit(project, "allocate", "recipe=auto")
    assert frozen.returncode == 0, frozen.stderr
    path = project / "recipes/auto-tiny.yaml"
    assert "rules:" in path.read_text() and "calibrate:" not in path.read_text()
    again = doit(project, "allocate", "recipe=auto")
    assert "auto-tiny.yaml: exists already; delete it" in again.stdout
    unnamed = doit(project, "allocate", "recipe=auto", "out=recipes/my auto.yaml")
    assert unnamed.returncode and "name" in unnamed.stdout
    assert not (project / "recipes/my auto.yaml").exists(), "the other recipes can still be read"
    shown = json.loads(doit(project, "plan", "recipe=auto", "--format", "json").stdout)[0]
    assert shown["bytes"] <= 2_113_664 < shown["bytes"] + 2_000
    assert len({each for row in shown["shares"] for each in row["settings"].values()}) > 2
    assert doit(project, "convert", "recipe=auto,auto-tiny").returncode == 0
    weights = [
        (project / f"out/tiny/{name}/model.safetensors").read_bytes() for name in ("auto", "auto-tiny")
    ]
    assert weights[0] == weights[1]
    lock = json.loads((project / "out/tiny/auto/recipe.lock").read_text())
    assert len(lock["recipe"]["allocation"]["sensitivity"]) == 64
    edit(project / "recipes/auto.yaml", "average: 3", "average: 2.7")
    smaller = doit(project, "convert", "recipe=auto")
    assert (
        smaller.returncode == 0 and "-- measure:tiny" in smaller.stdout
    )  # another budget, the same measurement


def test_a_budget_that_nothing_fits_is_refused_before_anything_is_measured(project):
    edit(project / "recipes/auto.yaml", "average: 2.7", "budget: 1.5")
    next((project / "out/.state/tiny").glob("*.sensitivity.json")).unlink()
    refused = doit(project, "measure", "recipe=auto")
    assert refused.returncode
    assert "but the smallest settings allowed take" in refused.stdout
