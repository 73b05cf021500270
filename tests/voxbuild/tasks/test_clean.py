"""doit clean removes what was built for a selection, and nothing else; it says each path."""

import os
import shutil
import subprocess

import pytest
from artifacts import contents
from projects import ROOT, doit, doit_command, edit, executed, make_project

from voxbuild.artifact.manifest import Manifest
from voxbuild.folders import alone

pytestmark = pytest.mark.slow


def shown(process, verb):
    assert process.returncode == 0, process.stdout
    lines = process.stdout.splitlines()
    return {line.removeprefix(f"{verb} ") for line in lines if line.startswith(f"{verb} ")}


def heard_by(project, name):
    """What the names of the records of an artifact begin with."""
    return Manifest.load(project / "out/tiny" / name).weight_digest[:32]


@pytest.fixture
def project(project):
    """A project of two converted recipes; of one there are a view and unfinished folders, too."""
    for name in ("tiny/4bit.mlx-audio", ".partial/tiny--4bit", ".partial/tiny--4bit.again", "registry/blobs"):
        (project / "out" / name).mkdir(parents=True)
        (project / "out" / name / "file").touch()
    heard = project / "out/.state/tiny/heard"
    for name in ("4bit", "2bit"):
        (heard / f"{heard_by(project, name)}-480ms-setting").mkdir(parents=True)
        (heard / f"{heard_by(project, name)}-480ms-setting.jsonl").write_text("{}")
    (project / "out/.state/tiny/few.reference.json").write_text("{}")
    for form in ("json", "html"):
        (project / f"out/tiny/evaluation.{form}").write_text("{}")
    return project


OF_4BIT = {
    *(f"out/tiny/{name}" for name in ("4bit", "4bit.mlx-audio")),
    *(f"out/.partial/tiny--4bit{end}" for end in ("", ".again")),
    "out/.state/tiny/4bit.plan.json",
}


def of_4bit(project):
    """What is removed of it, with what it heard."""
    heard = f"out/.state/tiny/heard/{heard_by(project, '4bit')}-480ms-setting"
    return OF_4BIT | {heard, f"{heard}.jsonl"}


def test_a_selection_is_removed_and_built_again(project):
    before = contents(project / "out/tiny/4bit")
    removed = of_4bit(project)
    gone = (*removed, "out/.locks/")
    expected = {name: c for name, c in contents(project).items() if not name.startswith(gone)}
    for flag in ("--dry-run", "-n"):
        assert shown(doit(project, "clean", "recipe=4bit", "source=tiny", flag), "would remove") == removed
    assert (project / "out/tiny/4bit").is_dir()
    assert shown(doit(project, "clean", "recipe=4bit", "source=tiny"), "removed") == removed
    left = {name: c for name, c in contents(project).items() if not name.startswith("out/.locks/")}
    assert left == expected
    assert shown(doit(project, "clean", "recipe=4bit"), "removed") == set()
    again = executed(doit(project, "convert"))
    assert again == ["fetch:tiny", "convert:tiny:4bit"], "the copied source is elsewhere, and the same"
    assert contents(project / "out/tiny/4bit") == before


def test_lines_that_nobody_reads_are_no_fault(project):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        process = subprocess.run(
            doit_command("clean", "--dry-run"),
            cwd=project,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=closed,
            stderr=subprocess.PIPE,
        )
    assert (process.returncode, process.stderr) == (1, b"")


def test_a_source_is_removed_with_its_transcripts_and_nothing_else(project):
    removed = shown(doit(project, "clean", "source=tiny"), "removed")
    assert removed > OF_4BIT | {"out/tiny/2bit", "out/.state/tiny"}
    assert not (project / "out/tiny").exists()
    assert (project / "out/registry/blobs/file").exists()
    assert (project / "source/consolidated.safetensors").exists()
    assert executed(doit(project, "convert", "recipe=4bit")) == ["fetch:tiny", "convert:tiny:4bit"]


def test_without_a_selection_nothing_is_removed_until_all_is_asked_for(project):
    before = contents(project / "out")
    process = doit(project, "clean")
    everything = shown(process, "would remove")
    assert everything > OF_4BIT | {"out/tiny/2bit", "out/.state/tiny"}
    assert "nothing was removed: choose with recipe=NAME[,NAME] or source=NAME, or" in process.stdout
    assert contents(project / "out") == before
    assert shown(doit(project, "clean", "--all", "--dry-run"), "would remove") == everything
    assert contents(project / "out") == before
    assert shown(doit(project, "clean", "--all"), "removed") == everything
    left = [name for name in contents(project / "out") if not name.startswith(".locks/")]
    assert left == ["registry/blobs/file"]


def test_a_source_or_clips_in_an_artifacts_folder_are_kept(tmp_path):
    project = make_project(tmp_path / "project", recipes=("4bit", "2bit"), clips=1)
    shutil.copytree(ROOT / "tiny/checkpoint", project / "out/tiny/4bit/model")
    shutil.move(project / "few", project / "out/tiny/2bit")
    edit(project / "recipes/sources/tiny.yaml", "../../tiny/checkpoint", "../../out/tiny/4bit/model")
    edit(project / "recipes/clips/few.yaml", "../../few", "../../out/tiny/2bit")
    before = contents(project / "out")
    process = doit(project, "clean", "--all")
    assert process.stdout.splitlines() == [
        "kept out/tiny/2bit: it holds the clips few",
        "kept out/tiny/4bit: it holds the source tiny",
    ]
    assert contents(project / "out") | before == contents(project / "out")


def test_what_a_source_links_to_is_kept(project):
    weights = project / "source/consolidated.safetensors"
    weights.rename(project / "out/tiny/2bit/consolidated.safetensors")
    weights.symlink_to(project / "out/tiny/2bit/consolidated.safetensors")
    process = doit(project, "clean", "recipe=2bit")
    assert "kept out/tiny/2bit: it holds the source tiny\n" in process.stdout
    assert weights.is_file()


def test_a_linked_folder_is_unlinked_and_what_is_being_written_stays(project, tmp_path):
    removed = of_4bit(project)
    (project / "out/tiny/4bit").rename(tmp_path / "elsewhere")
    (project / "out/tiny/4bit").symlink_to(tmp_path / "elsewhere")
    with alone(project / "out/.partial/tiny--4bit"):
        process = doit(project, "clean", "recipe=4bit")
    assert process.returncode == 3
    assert process.stdout == "ERROR: tiny--4bit: another process is writing it; wait until it is finished\n"
    assert (project / "out/tiny/4bit").is_symlink()
    assert shown(doit(project, "clean", "recipe=4bit"), "removed") == removed
    assert not (project / "out/tiny/4bit").is_symlink()
    assert (tmp_path / "elsewhere/manifest.json").is_file()
