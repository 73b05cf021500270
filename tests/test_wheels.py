"""The wheels are complete: installed outside the repository, they import, and transcribe a clip."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import voxbuild
import voxrun

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SOURCES = {"voxbuild": ROOT, "voxrun": ROOT / "runtime"}
"""Package -> the folder of its distribution."""
IMPORT_ALL = """
import importlib, pkgutil, sys
import voxbuild, voxrun
for package in (voxrun, voxbuild):
    print(package.__file__)
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def run(*command, cwd):
    """What a command prints, in an environment in which Python finds nothing of the repository."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A virtual environment with both wheels; everything else comes from the running environment."""
    folder = tmp_path_factory.mktemp("wheels")
    for package, source in SOURCES.items():  # copies: a build leaves files behind
        copy = folder / f"source-{package}"
        shutil.copytree(source / package, copy / package)
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(source / name, copy)
        wheel = ("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(copy))
        run(sys.executable, "-m", "pip", *wheel, cwd=folder)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv/bin/python"
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    # The .pth files in those folders, among them those of editable installs, are not read.
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "others.pth").write_text("".join(f"{path}\n" for path in others))
    install = ("install", "-q", "--no-deps", "--no-index", "--ignore-installed", *folder.glob("*.whl"))
    run(python, "-m", "pip", *install, cwd=folder)
    return site, python


@pytest.mark.parametrize(("package", "source"), SOURCES.items())
def test_a_wheel_has_every_file_of_its_package(installed, package, source):
    def files(folder):
        return {
            path.relative_to(folder)
            for path in (folder / package).rglob("*")
            if path.suffix in {".py", ".typed"}
        }

    assert files(installed[0]) == files(source)
    assert Path(package, "py.typed") in files(installed[0])


def test_every_module_imports(installed, tmp_path):
    site, python = installed
    found = run(python, "-c", IMPORT_ALL, cwd=tmp_path).splitlines()
    assert found == [str(site / "voxrun/__init__.py"), str(site / "voxbuild/__init__.py")]


def test_the_command_and_the_module_run(installed, tmp_path):
    _, python = installed
    expected = f"voxrun {voxrun.__version__}\n"
    assert run(python.with_name("voxrun"), "--version", cwd=tmp_path) == expected
    assert run(python, "-m", "voxrun", "--version", cwd=tmp_path) == expected
    shown = "import importlib.metadata as m; print(m.version('voxbuild'), m.version('voxrun-mlx'))"
    assert run(python, "-c", shown, cwd=tmp_path).split() == [voxbuild.__version__, voxrun.__version__]


def test_a_clip_is_transcribed(installed, tmp_path):
    clip, model = ROOT / "tiny/clips/prompts/vm-leavemsg.flac", ROOT / "tiny/checkpoint"
    said = run(installed[1].with_name("voxrun"), "--audio", clip, "--model", model, cwd=tmp_path)
    assert said == "press five to leave a message\n"
