"""Which tasks run after an edit: only those that read what was edited, and no clip is heard without need."""

import shutil

import pytest
import soundfile
from adapters import write_adapter
from artifacts import contents
from projects import ROOT, copy_project, doit, edit, executed, make_project, skipped
from test_explain import explained

from voxbuild.artifact.manifest import Manifest
from voxbuild.files import read_json
from voxrun.checkpoint.layout import Layout
from voxrun.files.hashes import sha256_of

pytestmark = pytest.mark.slow

RECIPE, SOURCE, CLIPS = "recipes/4bit.yaml", "recipes/sources/tiny.yaml", "recipes/clips/few.yaml"
NO_EARS = """
from voxrun.transcriber import Transcriber

def deaf(*_, **__):
    raise OSError(1, "a clip was heard", "no file")

Transcriber.open = deaf
"""
NOT_KEPT = """
from voxbuild.calibrate import whole
from voxbuild.plan import work

whole.KEPT = work.KEPT = 0
"""


KILLED = """
import os

def task_killed():
    return {"actions": ["kill -9 %d" % os.getpid()], "task_dep": ["fetch:tiny"]}
"""


@pytest.fixture(scope="module")
def first_build(tmp_path_factory):
    """A project of one clip, one recipe and one view. Change only copies."""
    project = make_project(tmp_path_factory.mktemp("again") / "project", recipes=("4bit",), clips=1)
    rule = 'rules: [{match: "*.ada_norm.*", skip: true}]'
    edit(project / RECIPE, "group_size: 64}", f"group_size: 64, {rule}}}\ndialects: [mlx-audio]")
    process = doit(project, "build")
    assert process.returncode == 0, process.stdout
    return project


@pytest.fixture
def built(first_build, tmp_path):
    """A copy in which no model can be loaded, so no clip can be heard."""
    project = copy_project(first_build, tmp_path / "project")
    with (project / "dodo.py").open("a") as dodo:
        dodo.write(NO_EARS)
    return project


def stages_of(process):
    return {task.partition(":")[0] for task in executed(process)}


CARD = {"card", "provenance", "manifest", "views"}
TEXTS = CARD | {"bom"}
EDITS = {
    "a comment in the recipe": (RECIPE, "summary: For tests.", "summary: For tests. # mine", CARD, None),
    "a comment in the source": (SOURCE, "languages: [en]", "languages: [en] # mine", set(), None),
    "a comment in the clips": (CLIPS, "language: en", "language: en # mine", set(), None),
    "a key's default, said": (RECIPE, "card: ", "experimental: false\ncard: ", CARD, "recipe 4bit: keys"),
    "repository": (RECIPE, "repo: someone/", "repo: me/", TEXTS, "recipe 4bit: publish.repo"),
    "tag": (RECIPE, "publish:", "publish:\n  tag: v7", CARD, 'publish.tag was null, is "v7"'),
    "summary": (RECIPE, "For tests.", "Of mine.", TEXTS, 'summary was "For tests.", is "Of mine."'),
    "model's name": (SOURCE, "model: Voxtral", "model: My", TEXTS, "source tiny: model"),
    "licence": (
        SOURCE,
        "license: cc-by-sa-3.0",
        "license: mit",
        TEXTS,
        'license was "cc-by-sa-3.0", is "mit"',
    ),
    "languages": (SOURCE, "languages: [en]", "languages: [fr]", CARD, 'languages was ["en"], is ["fr"]'),
    "clips' licence": (CLIPS, "license: CC-BY-SA-3.0", "license: CC0", TEXTS, "clips few: license"),
    "gate": (RECIPE, "wer: 75.0", "wer: 74.0", TEXTS | {"validate"}, "gates: wer was 75.0, is 74.0"),
    "source's gate": (
        SOURCE,
        "license:",
        "gates: {kl_mean: 0.5}\nlicense:",
        CARD,
        "source tiny: gates.kl_mean",
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_runs_only_what_reads_it_and_no_clip_is_heard(built, what):
    name, old, new, stages, reason = EDITS[what]
    folders = [built / "out/tiny/4bit", built / "out/tiny/4bit.mlx-audio"]
    before = [sha256_of(folder / "model.safetensors") for folder in folders]
    edit(built / name, old, new)
    told = explained(built)
    assert {"fetch:tiny", "plan:tiny:4bit", "convert:tiny:4bit"} <= {
        task for task, verdict in told.items() if verdict == ("up to date", "")
    }
    assert reason is None or any(reason in reasons for _, reasons in told.values()), told
    process = doit(built, "build")
    assert process.returncode == 0, process.stdout
    assert stages_of(process) == stages
    assert executed(doit(built, "build")) == []
    assert [sha256_of(folder / "model.safetensors") for folder in folders] == before
    assert doit(built, "publish").returncode == 0, "artifact and view belong to the recipe as it is"


def test_documents_of_another_recipe_are_not_published(built):
    edit(built / SOURCE, "license: cc-by-sa-3.0", "license: mit")
    process = doit(built, "publish")
    assert process.returncode != 0
    assert "4bit: the recipe has changed since it was built" in process.stdout


def test_the_documents_name_the_model_as_it_is_called_now(built):
    edit(built / SOURCE, "model: Voxtral-Tiny-Prompts", "model: My-Prompts")
    assert doit(built, "build").returncode == 0
    for name in ("4bit", "4bit.mlx-audio"):
        folder = built / "out/tiny" / name
        assert Manifest.load(folder).model == "My-Prompts"
        assert "# My-Prompts-4bit" in (folder / "README.md").read_text()


def test_what_a_template_says_of_views_alone_reaches_them(built):
    edit(built / "model_cards/voxtral.md.j2", "may compute otherwise.", "may compute in another way.")
    process = doit(built, "build")
    assert process.returncode == 0, process.stdout
    assert stages_of(process) == {"card", "views"}
    assert "may compute in another way." in (built / "out/tiny/4bit.mlx-audio/README.md").read_text()
    assert executed(doit(built, "build")) == []


def test_a_moved_project_model_and_recordings_run_nothing_but_fetch(built, tmp_path):
    before = contents(built / "out")
    moved = built.rename(tmp_path / "elsewhere")
    shutil.copytree(moved / "tiny/checkpoint", tmp_path / "models/mine")
    (moved / "tiny").unlink()
    shutil.move(moved / "few", tmp_path / "recordings")
    edit(moved / SOURCE, "path: ../../tiny/checkpoint", f"path: {tmp_path}/models/mine")
    edit(moved / CLIPS, "folder: ../../few", f"folder: {tmp_path}/recordings")
    process = doit(moved, "build")
    assert process.returncode == 0, process.stdout
    assert executed(process) == ["fetch:tiny"]
    changed = {name for name, content in contents(moved / "out").items() if before.get(name) != content}
    assert {name.split("/")[0] for name in changed} <= {".state"}
    assert doit(moved, "publish").returncode == 0


def test_a_model_in_another_place_is_not_published_as_the_one_that_was_built(built, tmp_path):
    other = shutil.copytree(ROOT / "tiny/checkpoint", tmp_path / "another model")
    edit(built / SOURCE, "path: ../../tiny/checkpoint", f"path: {other}")
    process = doit(built, "publish")
    assert process.returncode != 0
    said = "4bit: the source tiny has changed or moved since it was built; run `doit build recipe=4bit source"
    assert process.stdout.count(said) == 2, "the artifact's and the view's"
    assert not (built / "out/registry").exists()


def test_a_copied_project_reads_its_own_adapter(tmp_path):
    project = make_project(tmp_path / "project", recipes=("4bit",), clips=1)
    query = "language_model.layers.0.attention.q_proj"
    config = Layout(ROOT / "tiny/checkpoint").config
    write_adapter(project / "adapter", config, [query], size=1e-4)
    edit(project / SOURCE, "license:", "adapter: {path: ../../adapter}\nlicense:")
    assert doit(project, "fetch").returncode == 0
    copied = copy_project(project, tmp_path / "copied")
    assert executed(doit(copied, "fetch")) == ["fetch:tiny"]
    write_adapter(copied / "adapter", config, [query], seed=1, size=1e-4)
    assert executed(doit(copied, "fetch")) == ["fetch:tiny"]


@pytest.mark.parametrize("processes", [(), ("-n", "2")])
def test_what_a_failure_prevents_is_not_done_again(built, processes):
    tiny = built / "tiny"
    place = tiny.readlink() if tiny.is_symlink() else None
    tiny.rename(built / "away")
    assert "there is no such folder" in doit(built, "plan", "recipe=4bit").stdout
    process = doit(built, *processes, "build")
    assert process.returncode != 0
    assert "there is no such folder, in which the source tiny is; give its new place" in process.stdout
    (built / "away").rename(tiny)
    assert tiny.is_symlink() == (place is not None)
    process = doit(built, *processes, "build")
    assert process.returncode == 0, process.stdout
    assert executed(process) == ["fetch:tiny"]


def test_changed_recordings_weights_and_views_are_heard(built):
    for change in (
        lambda: (built / "few/transcripts.tsv").write_text("none.flac\tnone\n"),
        lambda: next((built / "few").glob("*.flac")).write_bytes(b"another recording"),
        lambda: edit(built / RECIPE, "dialects:", "dtype: float16\ndialects:"),
        lambda: (built / "out/tiny/4bit.mlx-audio/model.safetensors").write_bytes(b"damaged"),
        lambda: (
            (built / "out/.state/tiny/4bit.mlx-audio.heard.json").write_text("{}")
            and (built / "out/tiny/4bit.mlx-audio/README.md").unlink()
        ),
    ):
        shutil.copytree(built, built.with_name("kept"), symlinks=True)
        change()
        process = doit(built, "build")
        assert process.returncode != 0
        assert "a clip was heard" in process.stdout or "none.flac: the recording is missing" in process.stdout
        assert "Traceback" not in process.stdout
        shutil.rmtree(built)
        built.with_name("kept").rename(built)


def test_moments_in_passing_are_planned_anew_for_other_recordings_and_lost_tokens(tmp_path):
    project = make_project(tmp_path / "project", recipes=("4bit",), clips=1)
    edit(project / RECIPE, "size: 64}", "size: 64, search: gptq}\ncalibrate: own")
    own = (project / CLIPS).read_text().replace("few", "own")
    (project / "recipes/clips/own.yaml").write_text(own)
    (project / "own").mkdir()
    samples, rate = soundfile.read(ROOT / "tiny/clips/calibration/vm-onefor.flac", dtype="int16")
    soundfile.write(project / "own/a", samples, rate, format="FLAC")
    with (project / "dodo.py").open("a") as dodo:
        dodo.write(NOT_KEPT)
    state = project / "out/.state/tiny"
    assert doit(project, "_plan").returncode == 0
    before = (state / "4bit.plan.json").read_bytes()
    assert executed(doit(project, "_plan")) == []
    moments = (state / "own.second-moments.safetensors").read_bytes()
    soundfile.write(project / "own/a", samples, rate, format="WAV")  # of the same length and words
    assert executed(doit(project, "_plan")) == ["calibrate:tiny:own:matrix"]
    assert (state / "own.second-moments.safetensors").read_bytes() == moments, (
        "it only says how much was heard"
    )
    assert (state / "4bit.plan.json").read_bytes() != before
    (state / "own.tokens.json").unlink()
    assert "calibrate:tiny:own:matrix" in executed(doit(project, "_plan"))
    assert (state / "own.tokens.json").is_file()


def test_new_gates_are_compared_with_what_was_heard(built):
    edit(built / RECIPE, "wer: 75.0", "top1_agreement: 0.8")
    before = read_json(built / "out/tiny/4bit/validation.json")
    assert doit(built, "build").returncode == 0
    after = read_json(built / "out/tiny/4bit/validation.json")
    assert [gate["name"] for gate in after["gates"]] == ["wer", "top1_agreement", "kl_mean"]
    assert after | {"gates": None} == before | {"gates": None}
    edit(built / RECIPE, "kl_mean: 0.01", "kl_mean: 0.0")
    process = doit(built, "build")
    assert process.returncode != 0
    assert "4bit over tiny does not pass its gates" in process.stdout
    assert not Manifest.load(built / "out/tiny/4bit").validated


def test_a_source_that_voxrun_cannot_read_is_converted_once_to_compare_with(tmp_path):
    project = make_project(tmp_path / "project", recipes=("4bit",), clips=1)
    shutil.copytree(ROOT / "tiny/checkpoint", project / "model")
    (project / "model/consolidated.safetensors").rename(project / "model/mine.safetensors")
    edit(project / SOURCE, "path: ../../tiny/checkpoint", "path: ../../model\nweights: mine.safetensors")
    edit(project / SOURCE, "name: consolidated.safetensors", "name: mine.safetensors")
    process = doit(project, "build")
    assert process.returncode == 0, process.stdout
    copy = project / "out/.state/tiny/unquantized"
    before = contents(copy)
    before.pop("inputs.json")  # it has their stamps
    moved = project.rename(tmp_path / "elsewhere")
    copy = moved / "out/.state/tiny/unquantized"
    assert executed(doit(moved, "build")) == ["fetch:tiny"]
    shutil.rmtree(copy)
    assert explained(moved)["unquantize:tiny"] == ("runs", f"{copy} is missing")
    assert executed(doit(moved, "build")) == []
    assert before.items() <= contents(copy).items()
    (copy / "model.safetensors").write_bytes(b"damaged")
    assert explained(moved)["unquantize:tiny"] == ("runs", f"{copy} was changed")
    assert executed(doit(moved, "build")) == []
    assert before.items() <= contents(copy).items()
    assert "removed out/.state/tiny" in doit(moved, "clean", "source=tiny").stdout


def test_what_was_finished_before_a_kill_is_not_done_again(tmp_path):
    project = make_project(tmp_path / "project", recipes=("4bit",), clips=1)
    with (project / "dodo.py").open("a") as dodo:
        dodo.write(KILLED)
    process = doit(project, "killed")
    assert process.returncode == -9, process.stdout
    assert executed(process) == ["fetch:tiny", "killed"]
    assert skipped(doit(project, "fetch")) == ["fetch:tiny"]
