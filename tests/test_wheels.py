"""The wheels are complete: installed outside the repository, they import, transcribe, and make a project.

voxbuild's is built from its source distribution, which must be complete, too.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import voxbuild
import voxrun
from voxbuild.project.template import IN_WHEEL, template_files

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SOURCES = {"voxbuild": ROOT, "voxrun": ROOT / "runtime"}
"""Package -> the folder of its distribution."""
BESIDE = {
    "voxbuild": (
        *("pyproject.toml", "setup.py", "README.md", "LICENSE"),
        *("dodo.py", "doit.cfg", "recipes", "model_cards", "tiny"),
    ),
    "voxrun": ("pyproject.toml", "README.md", "LICENSE"),
}
"""What else its wheel is built from."""
SHIPPED = {".py", ".typed", ".html", ".css", ".js", ".svg"}
NOT_SHIPPED = shutil.ignore_patterns("__pycache__", "training")
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


def copy_source(package, folder):
    """A copy of a distribution's files: a build leaves files behind."""
    source = SOURCES[package]
    for name in (package, *BESIDE[package]):
        if (source / name).is_dir():
            shutil.copytree(source / name, folder / name, ignore=NOT_SHIPPED)
        else:
            shutil.copy(source / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Both wheels, by package."""
    folder = tmp_path_factory.mktemp("wheels")
    copies = {package: copy_source(package, tmp_path_factory.mktemp(package)) for package in SOURCES}
    backend = "from setuptools.build_meta import build_sdist; build_sdist({!r})"
    run(sys.executable, "-c", backend.format(str(folder)), cwd=copies["voxbuild"])
    (sdist,) = folder.glob("voxbuild-*.tar.gz")
    for source in (copies["voxrun"], sdist):
        wheel = ("wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder), str(source))
        run(sys.executable, "-m", "pip", *wheel, cwd=folder)
    return {path.name.partition("-")[0].removesuffix("_mlx"): path for path in folder.glob("*.whl")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory, wheels):
    """A virtual environment with both wheels; everything else comes from the running environment."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv/bin/python"
    (site,) = (folder / "venv/lib").glob("python*/site-packages")
    # The .pth files in those folders, among them those of editable installs, are not read.
    others = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "others.pth").write_text("".join(f"{path}\n" for path in others))
    install = ("install", "-q", "--no-deps", "--no-index", "--ignore-installed", *wheels.values())
    run(python, "-m", "pip", *install, cwd=folder)
    return site, python


@pytest.mark.parametrize(("package", "source"), SOURCES.items())
def test_a_wheel_has_every_file_of_its_package(installed, package, source):
    def files(folder):
        return {
            path.relative_to(folder)
            for path in (folder / package).rglob("*")
            if path.suffix in SHIPPED and path.parent.name != IN_WHEEL
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
    clip, model = ROOT / "tiny/clips/prompts/vm-tempgreeting.flac", ROOT / "tiny/checkpoint"
    said = run(installed[1].with_name("voxrun"), "--audio", clip, "--model", model, cwd=tmp_path)
    assert said == "press one to record your temporary greeting\n"


def test_voxbuilds_wheel_has_the_files_of_a_project_and_all_licences(wheels):
    with zipfile.ZipFile(wheels["voxbuild"]) as wheel:
        shipped = {name: wheel.read(name) for name in wheel.namelist()}
    top = f"voxbuild/project/{IN_WHEEL}"
    expected = {f"{top}/{path}": (ROOT / path).read_bytes() for path in template_files(ROOT)}
    assert {name: content for name, content in shipped.items() if name.startswith(top)} == expected
    licences = f"voxbuild-{voxbuild.__version__}.dist-info/licenses"
    for name in ("LICENSE", "tiny/clips/LICENSE.md"):
        assert shipped[f"{licences}/{name}"] == (ROOT / name).read_bytes()
    assert b"License-Expression: Apache-2.0 AND CC-BY-SA-3.0" in shipped[f"{licences[:-9]}/METADATA"]


def test_a_project_builds_publishes_verifies_and_transcribes(installed, tmp_path):
    """What the README shows, with nothing but the wheels."""
    _, python = installed

    def doit(*arguments):
        return run(python, "-m", "doit", *arguments, cwd=project)

    project = tmp_path / "my-models"
    run(python, "-m", "voxbuild", "new", "my-models", "--owner", "me", cwd=tmp_path)
    tasks = [line.split()[0] for line in doit("list").splitlines()]
    assert {"build", "publish", "verify", "parity"} <= set(tasks)
    assert "runs        convert:tiny:4bit" in doit("explain", *tasks, "recipe=4bit", "source=tiny")
    assert "tiny" in doit()
    chosen = ("recipe=4bit", "source=tiny")
    assert "4bit" in doit("plan", *chosen)
    doit("build", *chosen)
    doit("publish", *chosen)
    assert "me/Voxtral-Tiny-Prompts-4bit" in doit("verify", *chosen)
    clip, model = "tiny/clips/prompts/vm-tempgreeting.flac", "registry:Voxtral-Tiny-Prompts-4bit"
    said = run(python.with_name("voxrun"), "--audio", clip, "--model", model, "--verify", cwd=project)
    assert said == "press one to record your temporary greeting\n"
