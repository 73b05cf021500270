"""doit explain says what would run and why, and the next build does just that."""

import re
import shutil

import pytest
from artifacts import contents
from projects import copy_project, doit, edit, executed, make_project, skipped, use_random_source

pytestmark = pytest.mark.slow

STAGES = [
    "fetch:tiny",
    "unquantize:tiny",
    "reference:tiny:few",
    *(f"{s}:tiny:4bit" for s in ("convert", "validate", "card")),
]
PLAN = "plan:tiny:4bit"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A project after a build of one recipe with one clip. Look at it; change only copies."""
    project = make_project(tmp_path_factory.mktemp("explain") / "project", recipes=("4bit",), clips=1)
    assert doit(project, "build").returncode == 0
    return project


@pytest.fixture
def project(built, tmp_path):
    return copy_project(built, tmp_path / "project")


ATTESTED = ("bom:tiny:4bit", "provenance:tiny:4bit")


def explained(project, *arguments):
    """Task -> (verdict, reasons)."""
    process = doit(project, "explain", *arguments)
    assert process.returncode == 0, process.stdout
    lines = re.findall(r"^(runs|may run|up to date) +(\S+) *(.*)$", process.stdout, re.MULTILINE)
    assert len(lines) == len(process.stdout.splitlines()), process.stdout
    return {task: (verdict, reasons) for verdict, task, reasons in lines}


def test_after_a_build_everything_is_up_to_date_and_nothing_is_touched(built):
    before, database = contents(built / "out"), (built / ".doit.db.json").read_bytes()
    told = explained(built)
    assert {*STAGES, PLAN, *ATTESTED, "manifest:tiny:4bit"} == told.keys()
    assert set(told.values()) == {("up to date", "")}
    assert contents(built / "out") == before
    assert (built / ".doit.db.json").read_bytes() == database


def test_before_the_first_build_everything_would_run_and_nothing_is_made(tmp_path):
    project = make_project(tmp_path / "project", clips=1)
    told = explained(project, "recipe=4bit")
    assert set(told.values()) == {("runs", "it has not run yet, or failed")}
    assert "convert:tiny:2bit" not in told
    assert not (project / "out").exists()
    assert not (project / ".doit.db.json").exists()


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def new_tools_and_edited_card(project):
    edit(project / "out/.state/tiny/4bit.plan.json", '"voxbuild": "', '"voxbuild": "0')
    (project / "out/tiny/4bit/README.md").write_text("mine")


CHANGES = {
    "recipe": (
        lambda p: edit(p / "recipes/4bit.yaml", "bits: 4", "bits: 8"),
        {
            PLAN: "recipe 4bit: quantize.bits was 4, is 8",
            "manifest:tiny:4bit": "recipe 4bit: quantize.bits was 4, is 8",
        },
        {
            "convert:tiny:4bit": "plan:tiny:4bit will run first",
            "validate:tiny:4bit": "convert:tiny:4bit may run first",
        },
    ),
    "deleted": (
        lambda p: (p / "out/tiny/4bit/validation.json").unlink(),
        {"validate:tiny:4bit": "out/tiny/4bit/validation.json is missing"},
        {},
    ),
    "damaged": (
        lambda p: flip(p / "out/tiny/4bit/model.safetensors"),
        {"convert:tiny:4bit": "model.safetensors in {p}/out/tiny/4bit missing or changed"},
        {"validate:tiny:4bit": "convert:tiny:4bit will run first"},
    ),
    "tools": (
        new_tools_and_edited_card,
        {
            PLAN: "other tools: voxbuild was 0",
            "card:tiny:4bit": "out/tiny/4bit/README.md was edited",
        },
        {},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_explanation_matches_the_next_build(project, name):
    change, runs, may_run = CHANGES[name]
    change(project)
    told = explained(project)
    for tasks, verdict in ((runs, "runs"), (may_run, "may run")):
        for task, reason in tasks.items():
            assert told[task][0] == verdict
            assert reason.format(p=project) in told[task][1]
    process = doit(project, "build")
    for task in executed(process):
        assert told[task][0] != "up to date", task
    for task in skipped(process):
        assert told[task][0] != "runs", task


def test_a_changed_source_is_named(tmp_path):
    project = make_project(tmp_path / "project", recipes=("4bit",), clips=1)
    use_random_source(project)
    assert doit(project, "convert").returncode == 0
    shutil.copy2(project / "source/params.json", project / "copy")
    (project / "copy").replace(project / "source/params.json")
    news = f"params.json in {project}/source: changed or missing since out/tiny/4bit was built"
    assert doit(project, "plan").stdout.splitlines()[-1] == news
    told = explained(project, "convert")
    assert told["fetch:tiny"] == ("runs", "params.json of the source tiny changed or missing")
    assert told[PLAN] == ("may run", "fetch:tiny will run first")
    assert told["convert:tiny:4bit"] == ("may run", "plan:tiny:4bit may run first")


def test_a_file_without_a_task_and_an_unknown_name_are_reported(project):
    (project / "model_cards/voxtral.md.j2").unlink()
    told = explained(project, "recipe=4bit")
    gone = "model_cards/voxtral.md.j2 is missing, and no task makes it: this will fail"
    assert told["card:tiny:4bit"] == ("runs", gone)
    process = doit(project, "explain", "recipe=5bit")
    assert process.returncode == 3
    assert "there is no recipe 5bit; known: 4bit" in process.stdout
    assert "Traceback" not in process.stdout
