"""Fixtures of voxbuild's tests."""

import os
from pathlib import Path

import pytest
from hub_server import TOKEN, serving

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture
def hub(tmp_path):
    """A Hub on loopback."""
    with serving(tmp_path / "hub") as server:
        yield server


@pytest.fixture
def hub_environment(hub, tmp_path):
    """What a process needs to talk to it; huggingface_hub reads these when it is imported."""
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    return online | {"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hf-home")}
