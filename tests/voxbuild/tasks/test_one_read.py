"""`doit convert recipe=A,B`: one read of the source for all that is selected and not there, and no more."""

import shutil

import pytest
from artifacts import contents
from projects import FAILED, doit, executed, make_project, skipped, use_random_source
from small_sources import header_of, params_of, write_checkpoint

from voxrun.device import mx

pytestmark = pytest.mark.slow
RECIPES = ("2bit", "4bit", "8bit")
WRONG = "layers.1.feed_forward.w2.weight"
COUNTING = """
import atexit, os
_preadv, _sizes = os.preadv, []
os.preadv = lambda *arguments: _sizes.append(_preadv(*arguments)) or _sizes[-1]
atexit.register(lambda: open("read", "w").write(str(sum(_sizes))))
"""
"""For dodo.py: writes how many bytes of weights doit has read into a file."""


@pytest.fixture
def project(tmp_path):
    folder = make_project(tmp_path / "project", recipes=RECIPES, clips=1)
    use_random_source(folder, params=params_of(dim=256, hidden=512, layers=2))
    with (folder / "dodo.py").open("a") as file:
        file.write(COUNTING)
    return folder


def reads(project):
    """How often the last run of doit read the source."""
    nbytes = int((project / "read").read_text())
    return nbytes / (project / "source/consolidated.safetensors").stat().st_size


def of(*recipes):
    return [f"convert:tiny:{name}" for name in recipes]


def built(project):
    return {name: contents(project / "out/tiny" / name) for name in RECIPES}


def test_what_is_selected_and_not_there_is_converted_in_one_read_by_tasks_of_their_own(project):
    done = doit(project, "convert", "recipe=2bit,4bit,8bit")
    assert done.returncode == 0, done.stdout
    assert set(of(*RECIPES)) <= set(executed(done))
    assert 0.9 < reads(project) <= 1
    together = built(project)
    shutil.rmtree(project / "out/tiny/4bit")
    again = doit(project, "convert", "recipe=2bit,4bit,8bit")
    assert executed(again) == of("4bit")
    assert set(of("2bit", "8bit")) <= set(skipped(again))
    assert reads(project) <= 1
    assert not list((project / "out/.partial").iterdir())
    for options in ([], ["-n", "2"]):
        shutil.rmtree(project / "out")
        for tasks in [of(name) for name in RECIPES] if not options else [["convert"]]:
            assert doit(project, *options, *tasks).returncode == 0
            assert not list((project / "out/.partial").iterdir())
        assert built(project) == together


def test_a_recipe_that_does_not_fit_the_weights_fails_alone(project):
    """The others are converted in one read; its own turn, whose place doit chooses, reads up to its fault."""
    header = header_of(params_of(dim=256, hidden=512, layers=2))
    array = mx.full(next(t.shape for t in header if t.name == WRONG), 1e6)
    write_checkpoint(project / "source/consolidated.safetensors", header, {WRONG: array.astype(mx.bfloat16)})
    with (project / "recipes/2bit.yaml").open("a") as file:
        file.write("dtype: float16\n")
    done = doit(project, "convert", "recipe=2bit,4bit,8bit")
    assert done.returncode in FAILED
    assert done.stdout.count("!! ") == 1
    assert f"!! convert:tiny:2bit: {WRONG}: a weight is not finite as F16" in done.stdout
    first = next(name for name in executed(done) if name in of(*RECIPES))
    assert reads(project) <= 1 if [first] == of("2bit") else 1 < reads(project) < 2
    assert sorted(path.name for path in (project / "out/tiny").iterdir()) == ["4bit", "8bit"]
    assert not list((project / "out/.partial").iterdir())
