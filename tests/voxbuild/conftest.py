"""Fixtures of voxbuild's tests."""

import os
import shutil
from pathlib import Path

import pytest
from hub_server import TOKEN, serving
from projects import doit, make_project, use_random_source

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


@pytest.fixture(scope="session")
def converted(tmp_path_factory):
    """A project of two recipes over a small random source, converted. Look at it; change only copies."""
    project = make_project(tmp_path_factory.mktemp("converted") / "project", clips=1)
    use_random_source(project)
    assert doit(project, "convert").returncode == 0
    return project


@pytest.fixture
def project(converted, tmp_path):
    """A copy of that."""
    return shutil.copytree(converted, tmp_path / "project", symlinks=True)
