"""A task that is stopped: one clear message, an exit code, and no files left behind."""

import os
import signal
import subprocess

import pytest
from patience import until
from projects import FAILED, doit, doit_command, make_project, use_random_source

from voxrun.checkpoint.tensors import Tensor


@pytest.fixture
def project(tmp_path):
    """A project in which nothing was built yet."""
    return make_project(tmp_path / "project")


def nothing_built(project):
    return not list((project / "out").glob("tiny/*")) and not list((project / "out").glob(".partial/*"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "recpe=4bit",
            "unknown variable recpe; known: recipe, source, adapter, name, license, license_name,"
            " license_link, base_model, languages, repo, private, clips,"
            " target, tag, lock, fetch, out, key, branch, reason, delays, scheduler",
        ),
        (
            "scheduler=localhost:8786",
            "scheduler=localhost:8786: say scheduler=tcp://HOST:PORT or scheduler=tls://HOST:PORT",
        ),
        ("recipe=7bit", "there is no recipe 7bit; known: 2bit, 4bit"),
        ("recipe=4bit,7bit", "there is no recipe 7bit; known: 2bit, 4bit"),
        ("recipe=4bit,,2bit", "recipe=4bit,,2bit: a name is missing; separate names by one comma"),
        (
            "source=huge",
            "there is no source huge; known: tiny; name a folder by its path, such as ./huge, and a"
            " repository on the Hub as OWNER/NAME or OWNER/NAME@REVISION",
        ),
    ],
)
def test_an_unknown_name_is_one_line(project, said, expected):
    process = doit(project, "build", said)
    assert process.returncode != 0
    assert process.stdout.strip().splitlines()[-1].endswith(expected)
    assert "Traceback" not in process.stdout


VALUES = "; values are given as NAME=VALUE, such as recipe=4bit"
HINTS = {
    "build 4bit": "4bit is a recipe, not a task; did you mean: doit build recipe=4bit",
    "build tiny": "tiny is a source, not a task; did you mean: doit build source=tiny",
    "4bit": "4bit is a recipe, not a task; did you mean: doit build recipe=4bit",
    "build 4bit 2bit tiny": (
        "4bit is a recipe, not a task; did you mean: doit build recipe=4bit,2bit source=tiny"
    ),
    "publish --dry-run 4bit target=hub": (
        "4bit is a recipe, not a task; did you mean: doit publish --dry-run recipe=4bit target=hub"
    ),
    "plan --recipe=4bit": f"there is no option --recipe here, but --format, --tensors{VALUES}",
    "build --recipe 4bit": f"there is no option --recipe here{VALUES}",
    "publish --pullrequest": (
        f"there is no option --pullrequest here, but --pull-request, --dry-run, --prune{VALUES}"
    ),
    "explain 4bit": "4bit is a recipe, not a task; did you mean: doit explain recipe=4bit",
    "clean tiny": "tiny is a source, not a task; did you mean: doit clean source=tiny",
}


@pytest.mark.slow
@pytest.mark.parametrize("said", HINTS)
def test_a_name_said_as_a_task_is_answered_with_the_command(project, said):
    process = doit(project, *said.split())
    assert (process.returncode, process.stdout.strip()) == (3, f"ERROR: {HINTS[said]}")
    assert not (project / "out").exists()


@pytest.mark.slow
def test_any_other_unknown_word_is_doits_own_error(project):
    process = doit(project, "build", "7bit")
    assert process.returncode == 3
    assert 'Invalid parameter: "7bit"' in process.stdout


@pytest.mark.slow
def test_a_list_where_one_recipe_is_needed_is_refused(project):
    for words in (["history"], ["yank", "tag=v1", "reason=bad"]):
        process = doit(project, *words, "recipe=4bit,2bit")
        assert process.returncode in FAILED
        assert "recipe=4bit,2bit: name one recipe here, not a list" in process.stdout
    process = doit(project, "build", "recipe=4bit,2bit", "lock=a.lock")
    assert process.returncode == 3
    assert "lock= belongs to one recipe" in process.stdout


@pytest.mark.slow
def test_a_truncated_source_is_reported_and_nothing_is_built(project):
    use_random_source(project)
    weights = project / "source/consolidated.safetensors"
    os.truncate(weights, weights.stat().st_size - 1)
    process = doit(project, "build", "recipe=4bit")
    assert process.returncode in FAILED
    assert f"{weights}: truncated" in process.stdout
    assert "Traceback" not in process.stdout
    assert nothing_built(project)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda header: header[1:], "tensors are missing from the checkpoint: "),
        (lambda header: [*header, Tensor("lm.odd", "BF16", (1,))], "mistral has no name for: lm.odd"),
    ],
)
def test_tensors_missing_or_extra_are_named_and_nothing_is_built(project, change, expected):
    use_random_source(project, change)
    process = doit(project, "build", "recipe=4bit")
    assert process.returncode in FAILED
    assert expected in process.stdout
    assert "Traceback" not in process.stdout
    assert nothing_built(project)


UNFINISHED = "*.safetensors.unfinished"
STOPPING = """
import time
from pathlib import Path
import voxbuild.convert.pieces

def stopping(*arguments, cast=voxbuild.convert.pieces.cast):
    while list(Path("out").rglob("*.safetensors.unfinished")):
        time.sleep(0.1)
    return cast(*arguments)

voxbuild.convert.pieces.cast = stopping
"""
"""For dodo.py: a conversion that stands still when its file is begun."""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_conversion_leaves_no_artifact(project, number):
    use_random_source(project)
    fast = (project / "dodo.py").read_text()
    (project / "dodo.py").write_text(fast + STOPPING)
    with subprocess.Popen(
        doit_command("convert", "recipe=4bit"),
        cwd=project,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        until(lambda: list((project / "out").rglob(UNFINISHED)), process)
        process.send_signal(number)
        said = process.communicate()[1]
        assert process.returncode != 0
    assert not list((project / "out").glob("tiny/*"))
    if number != signal.SIGKILL:
        assert not list((project / "out").glob(".partial/*"))
        assert said.strip().startswith("interrupted: ")
        assert "Traceback" not in said
    (project / "dodo.py").write_text(fast)
    assert doit(project, "convert", "recipe=4bit").returncode == 0
    assert (project / "out/tiny/4bit/model.safetensors").is_file()
    assert not list((project / "out").glob(".partial/*"))
