"""The import rules of pyproject.toml hold, and a forbidden import breaks them; each wing states its own."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = (ROOT / "voxbuild", ROOT / "runtime/voxrun")
WINGS = [init for package in PACKAGES for init in sorted(package.rglob("*/__init__.py"))]
FORBIDDEN = [
    (
        "voxbuild/plan/planner.py",
        "import voxbuild.tasks",
        "voxbuild.plan is not allowed to import voxbuild.tasks",
    ),
    (
        "voxbuild/errors.py",
        "import voxbuild.files",
        "voxbuild.errors is not allowed to import voxbuild.files",
    ),
    ("voxbuild/card/render.py", "import voxrun.cli.main", "voxbuild is not allowed to import voxrun.cli"),
    ("voxbuild/stages.py", "import doit", "voxbuild.stages is not allowed to import doit"),
    ("voxrun/errors.py", "import voxbuild", "voxrun is not allowed to import voxbuild"),
    ("voxrun/audio/file.py", "import voxrun.trust", "voxrun.audio is not allowed to import voxrun.trust"),
]
"""A module, an import that the rules do not allow it, and how lint-imports reports it."""


@pytest.fixture
def copy(tmp_path):
    """Both packages and their rules, in a folder."""
    for package in PACKAGES:
        shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder):
    """Run lint-imports over the packages in a folder; the exit code, and what it printed as one line."""
    process = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
    )
    return process.returncode, " ".join((process.stdout + process.stderr).split())


@pytest.mark.slow
def test_the_rules_hold_and_each_forbidden_import_is_reported(copy):
    code, said = lint(copy)
    assert (code, "0 broken" in said) == (0, True), said
    for module, line, _ in FORBIDDEN:
        with (copy / module).open("a") as file:
            file.write(f"\n{line}\n")
    code, said = lint(copy)
    assert code == 1, said
    assert [report for _, _, report in FORBIDDEN if report not in said] == []


@pytest.mark.slow
def test_a_new_wing_needs_a_place_in_the_rules(copy):
    (copy / "voxbuild/annexe.py").touch()
    code, said = lint(copy)
    assert code == 1
    assert "voxbuild.annexe" in said


@pytest.mark.parametrize("init", WINGS, ids=lambda path: str(path.relative_to(ROOT).parent))
def test_a_wing_holds_a_docstring_that_says_what_it_may_import(init):
    (docstring,) = ast.parse(init.read_text(encoding="utf-8")).body
    assert "May import " in ast.literal_eval(docstring.value)


@pytest.mark.slow
def test_commands_start_without_what_only_a_stage_needs():
    program = (
        "import sys; from voxbuild.tasks import build, describe, publish, show;"
        "print(*{'numba', 'matplotlib', 'huggingface_hub'} & sys.modules.keys())"
    )
    started = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert started.stdout.split() == []


def test_the_suites_modules_have_names_of_their_own():
    """pytest puts their folders on one path: of two with one name, the second would never be imported."""
    modules = [path for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]
    names = [path.name for path in modules if not (path.parent / "__init__.py").exists()]
    assert sorted(names) == sorted(set(names))
