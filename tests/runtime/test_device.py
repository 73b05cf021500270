"""The BLAS is loaded before MLX, and can be chosen; each case needs a process of its own."""

import os
import subprocess
import sys

import pytest

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere MLX brings its own BLAS")


def run(blas: str, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"VOXRUN_BLAS": blas},
        capture_output=True,
        text=True,
    )


@on_linux
def test_none_means_mlxs_own() -> None:
    result = run("none", "from voxrun import device; print(device.blas, device.mx.ones(3).sum().item())")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "None 3.0\n"


@on_linux
def test_a_library_can_be_chosen() -> None:
    result = run("libm.so.6", "from voxrun import device; print(device.blas)")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "libm.so.6\n"


@on_linux
def test_a_chosen_library_that_cannot_be_loaded_is_named() -> None:
    result = run("/nowhere/libblas.so", "import voxrun.device")
    assert result.returncode != 0
    assert "/nowhere/libblas.so" in result.stderr.splitlines()[-1]


@on_linux
def test_the_library_is_loaded_before_mlx() -> None:
    code = """
import ctypes, sys
load, mlx_was_there = ctypes.CDLL, []
def watched(name, *args, **kwargs):
    if name == "libm.so.6":
        mlx_was_there.append("mlx.core" in sys.modules)
    return load(name, *args, **kwargs)
ctypes.CDLL = watched
import voxrun.cli
print(mlx_was_there, "mlx.core" in sys.modules)
"""
    assert run("libm.so.6", code).stdout == "[False] True\n"


@on_linux
def test_only_device_imports_mlx() -> None:
    code = """
import pathlib, re, voxrun
folder = pathlib.Path(voxrun.__file__).parent
files = [p.name for p in folder.glob("*.py") if re.search(r"^\\s*(import|from) mlx", p.read_text(), re.M)]
print(files)
"""
    assert run("none", code).stdout == "['device.py']\n"
