"""One module imports MLX, and our kernels can be switched off."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from small_models import small_model

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


GIB = 2**30


@pytest.mark.parametrize(
    ("kind", "info", "buffers", "wired"),
    [
        (
            "M1 and M2",
            {"memory_size": 8 * GIB, "max_recommended_working_set_size": 5726 * 2**20},
            GIB // 2,
            True,
        ),
        ("M1 and M2", {"memory_size": 16 * GIB, "max_recommended_working_set_size": 11 * GIB}, GIB, True),
        (
            "M3 and later",
            {"memory_size": 36 * GIB, "max_recommended_working_set_size": 27 * GIB},
            9 * GIB // 4,
            True,
        ),
        (
            "M3 and later",
            {"memory_size": 512 * GIB, "max_recommended_working_set_size": 464 * GIB},
            4 * GIB,
            True,
        ),
        ("CUDA", {"total_memory": 80 * GIB, "free_memory": 79 * GIB}, 4 * GIB, False),
        ("CUDA", {"total_memory": 2 * GIB}, GIB // 4, False),
        ("CUDA", {}, GIB // 4, False),
        ("CPU", {"architecture": "x86_64"}, GIB // 16, False),
        ("CPU", {"memory_size": 64 * GIB, "max_recommended_working_set_size": 48 * GIB}, GIB // 16, False),
    ],
)
def test_limits_follow_from_the_devices_memory(
    kind: str, info: dict[str, Any], buffers: int, wired: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_to: dict[str, int] = {}
    monkeypatch.setattr(device, "device_kind", lambda: kind)
    monkeypatch.setattr(device.mx, "device_info", lambda: info)
    monkeypatch.setattr(device.mx, "set_cache_limit", partial(set_to.__setitem__, "buffers"))
    monkeypatch.setattr(device.mx, "set_wired_limit", partial(set_to.__setitem__, "wired"))
    device.set_limits()
    expected = {"wired": info["max_recommended_working_set_size"]} if wired else {}
    assert set_to == {"buffers": buffers} | expected


def test_a_loaded_model_has_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    before = device.mx.set_cache_limit(1)
    try:
        small_model()
        assert device.mx.set_cache_limit(1) == device.CPU_BUFFERS
    finally:
        device.mx.set_cache_limit(before)


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
