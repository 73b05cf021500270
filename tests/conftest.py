"""For all tests: the user's Hub cache, token and network stay untouched; tests can run in parallel."""

import atexit
import ctypes
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# pytest puts tests/ on the path, where the folder voxbuild would pass for the package: one that is installed
# editable is found by a finder that comes after the path, a real one anywhere on the path wins.
sys.path.append(str(Path(__file__).resolve().parents[1]))

# A shell's background job, and its children, ignore SIGINT; tests that interrupt their children would hang.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# By default Hypothesis measures how long an example takes, and a slow machine would fail tests.
settings.register_profile(
    "any machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("any machine")

# huggingface_hub reads these at import.
HF_HOME = tempfile.mkdtemp(prefix="tests-hf-home-")
atexit.register(shutil.rmtree, HF_HOME, ignore_errors=True)
for name in [name for name in os.environ if name.startswith(("HF_", "HUGGING"))]:
    del os.environ[name]
os.environ |= {
    "HF_HOME": HF_HOME,
    "HF_ENDPOINT": "http://127.0.0.1:9",  # no server listens there
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Each test file runs in one process (it shares module fixtures); see FilesTogether."""
    if config.getoption("dist") == "loadfile":
        from parallel_files import FilesTogether

        return FilesTogether(config, log)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The oracle's tests are slow, too: `-m "not slow"` replaces pyproject.toml's `-m "not oracle"`."""
    for item in items:
        if item.get_closest_marker("oracle"):
            item.add_marker("slow")


TRIM = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)
"""Of glibc alone."""


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Give back what a file's tests have freed: many threads have run, and glibc keeps it for each apart."""
    if nextitem is None or nextitem.path != item.path:
        TRIM(0)
