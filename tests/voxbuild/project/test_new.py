"""`python -m voxbuild new`: a complete project under the user's name, or none."""

import errno
import os
import shutil
from pathlib import Path

import pytest
from projects import doit
from small_sources import ROOT

from voxbuild import __version__
from voxbuild.project import command, new, template
from voxbuild.recipes.book import read_book


def run(capsys, *arguments):
    """Exit code, standard output and standard error of the command."""
    try:
        code = command.main([str(argument) for argument in arguments])
    except SystemExit as end:  # argparse's
        code = end.code
    return code, *capsys.readouterr()


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


WRITTEN = [".gitignore", "README.md", "dodo.py", "doit.cfg", "model_cards", "recipes", "tiny"]


def test_a_project_is_complete_and_refers_to_nothing_outside(tmp_path, capsys):
    project = tmp_path / "deep/project"
    code, said, _ = run(capsys, "new", project)
    assert (code, names_in(project), names_in(tmp_path / "deep")) == (0, WRITTEN, ["project"])
    assert said.splitlines()[1:4] == [
        f"  cd {project}",
        "  doit plan recipe=4bit source=tiny",
        "  doit build recipe=4bit source=tiny",
    ]
    book, ours = read_book(project / "recipes"), read_book(ROOT / "recipes")
    assert (book.recipes.keys(), book.sources, book.clips) == (ours.recipes.keys(), ours.sources, ours.clips)
    assert all((project / "model_cards" / recipe.card).is_file() for recipe in book.recipes.values())
    tiny = book.sources["tiny"]
    folder = tiny.origin.folder(project / "recipes/sources")
    assert folder.is_relative_to(project)
    assert all((folder / file.name).is_file() for file in tiny.files)
    recordings = [Path(p) for c in book.clips.values() for p in c.corpus.files(project / "recipes/clips")]
    assert {path.parent.name for path in recordings} == {"prompts", "digits", "chains", "calibration"}
    assert all(path.is_file() and path.is_relative_to(project) for path in recordings)
    assert (project / "tiny/clips/LICENSE.md").is_file()


@pytest.mark.parametrize(("options", "owner"), [((), "your-name"), (("--owner", "me"), "me")])
def test_every_recipe_publishes_under_the_owners_name(tmp_path, capsys, options, owner):
    code, said, _ = run(capsys, "new", tmp_path / "project", *options)
    recipes = read_book(tmp_path / "project/recipes").recipes.values()
    owners = {t.split("/")[0] for r in recipes for t in (r.publish.repo, r.publish.view) if "/" in t}
    assert (code, owners) == (0, {owner})
    assert ("put your name into recipes/*.yaml" in said) == (owner == "your-name")


@pytest.mark.parametrize("owner", ["", "a/b", "two words", "-a", "a--b", "a\nb", "ä"])
def test_an_owner_that_the_hub_cannot_have_is_refused(tmp_path, capsys, owner):
    code, _, said = run(capsys, "new", tmp_path / "project", f"--owner={owner}")
    assert (code, names_in(tmp_path)) == (1, [])
    assert "not the name of an account or organization" in said


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    code, _, said = run(capsys, "new", tmp_path)
    assert (code, names_in(tmp_path)) == (1, ["mine.txt"])
    assert said.count("\n") == 1
    assert "not empty: it holds mine.txt;" in said


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_folder_is_refused(tmp_path, capsys, make):
    make(tmp_path / "project")
    code, _, said = run(capsys, "new", tmp_path / "project")
    assert code == 1
    assert "not a folder" in said


def test_the_empty_current_folder_is_filled_not_replaced(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    assert run(capsys, "new", ".")[0] == 0
    assert (names_in(tmp_path), tmp_path.stat().st_ino) == (WRITTEN, before)


def fail_at(monkeypatch, module, name, error, call):
    """Let a function raise at its Nth call."""
    real, calls = getattr(module, name), []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise error
        return real(*arguments)

    monkeypatch.setattr(module, name, failing)


STEPS = [
    ("a file cannot be copied", False, (shutil, "copyfile", 30)),
    ("nor into an empty folder", True, (shutil, "copyfile", 30)),
    ("the new folder cannot get its name", False, (Path, "rename", 1)),
    ("the empty folder can be filled only in part", True, (Path, "rename", 3)),
]


@pytest.mark.parametrize(("exists", "step"), [step[1:] for step in STEPS], ids=[step[0] for step in STEPS])
@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (KeyboardInterrupt(), 130, "interrupted: nothing was written"),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"), 1, "voxbuild: x: No space left on device"),
    ],
    ids=["Ctrl-C", "a full disk"],
)
def test_a_project_that_cannot_be_finished_leaves_nothing(
    tmp_path, capsys, monkeypatch, exists, step, error, code, expected
):
    if exists:
        (tmp_path / "project").mkdir()
    before = list(tmp_path.rglob("*"))
    module, name, call = step
    fail_at(monkeypatch, module, name, error, call)
    ended, _, said = run(capsys, "new", tmp_path / "project")
    assert (ended, said.strip(), list(tmp_path.rglob("*"))) == (code, expected, before)


def test_an_installation_without_the_files_writes_no_empty_project(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(new, "template_folder", lambda: tmp_path / "site-packages")
    code, _, said = run(capsys, "new", tmp_path / "project")
    assert (code, names_in(tmp_path)) == (1, [])
    assert "install voxbuild again" in said


def test_the_commands_are_shown_and_a_wrong_one_is_an_error(capsys):
    for arguments in ((), ("--help",)):
        code, said, _ = run(capsys, *arguments)
        assert (code, "usage: python -m voxbuild" in said, "new  " in said) == (0, True, True)
    assert run(capsys, "--version") == (0, f"voxbuild {__version__}\n", "")
    for wrong in (("new",), ("nwe", "folder"), ("new", "folder", "--onwer=me")):
        code, _, said = run(capsys, *wrong)
        assert (code, "usage: python -m voxbuild" in said) == (2, True)


def test_the_template_has_every_file_of_the_folders_that_it_copies():
    """A new kind of file in recipes/ or tiny/clips/ is not forgotten."""
    copied = set(template.template_files(ROOT))
    for folder in ("recipes", "tiny/checkpoint", "tiny/clips"):
        files = {path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert files <= copied


@pytest.mark.slow
def test_commands_of_the_repository_say_so(tmp_path, capsys):
    run(capsys, "new", tmp_path / "project")
    process = doit(tmp_path / "project", "parity", "compatibility")
    assert process.returncode == 1
    failures = [line for line in process.stdout.splitlines() if line.startswith("!!")]
    assert failures == [
        f"!! {task}: this belongs to voxbuild's repository, which has {script}; run it there"
        for task, script in (
            ("parity", "tests/oracle/parity.py"),
            ("compatibility", "benchmarks/compatibility.py"),
        )
    ]
