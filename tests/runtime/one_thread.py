"""Which of MLX's functions are called outside the thread that owns MLX."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from voxrun.device import mx
from voxrun.mlx_thread import is_current

QUESTIONS = {"default_device", "device_info", "get_active_memory", "get_cache_memory", "get_peak_memory"}
"""They neither compute nor make arrays."""


def strangers(patch: pytest.MonkeyPatch) -> list[str]:
    """The calls from other threads, as they come: the function's name and the thread's.

    Operators and methods of arrays are not seen; whoever uses them has made an array.
    """
    found: list[str] = []

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if not is_current():
                found.append(f"{name} in {threading.current_thread().name}")
            return function(*args, **kwargs)

        return call

    for module in (mx, mx.fast, mx.random):
        for name, value in list(vars(module).items()):
            if callable(value) and not isinstance(value, type) and name not in QUESTIONS:
                patch.setattr(module, name, watched(name, value))
    return found
