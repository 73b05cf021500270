"""One module imports MLX, and our kernels can be switched off."""

import re
from pathlib import Path
from typing import Any

import pytest

import voxrun
from voxrun import device


def test_only_device_imports_mlx() -> None:
    folder = Path(voxrun.__file__).parent
    importing = re.compile(r"^\s*(import|from) mlx", re.MULTILINE)
    assert [path.name for path in folder.rglob("*.py") if importing.search(path.read_text("utf-8"))] == [
        "device.py"
    ]


def test_our_kernels_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert device.own_kernels() == device.on_cpu()
    monkeypatch.setenv("VOXRUN_KERNELS", "none")
    assert not device.own_kernels()


@pytest.mark.slow
def test_kernels_compile_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = pytest.importorskip("voxrun.model.cpu.kernels")
    njit = kernels.njit

    def nowhere(function: Any, *, cache: bool = False, **options: Any) -> Any:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(function, **options)

    monkeypatch.setattr(kernels, "njit", nowhere)
    assert kernels.compiled(lambda: 7)() == 7
