"""Fixtures of voxbuild's tests."""

import itertools
import os
import shutil
from pathlib import Path

import pytest
from artifacts import contents
from hub_server import TOKEN, serving
from mishaps import Script, play
from projects import doit, make_project, use_random_source
from publishers import Reader, World, attempt, connect, disconnect, hashes, release_of

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
    """The environment of a process that talks to it; huggingface_hub reads it when imported."""
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


def pytest_addoption(parser):
    parser.addoption("--write-faults", action="store_true", help="write docs/faults.md anew")
    parser.addoption("--write-checkpoints", action="store_true", help="write docs/checkpoints.md anew")


@pytest.fixture(scope="session")
def hubs(tmp_path_factory):
    """A Hub for publishers, and one over the same files for readers."""
    folder = tmp_path_factory.mktemp("hub")
    with serving(folder) as hub, serving(folder) as other:
        yield hub, other


@pytest.fixture
def slept(hubs, monkeypatch):
    """The client of this process talks to them; the lengths of its waits before retries."""
    yield connect(monkeypatch, hubs[0].url, TOKEN)
    disconnect()


@pytest.fixture(scope="session")
def numbers():
    """Numbers that make repositories distinct."""
    return itertools.count()


@pytest.fixture
def new_world(hubs, slept, numbers, tmp_path):
    """Make repositories with releases to publish."""
    return lambda **how: World(hubs[0], Reader(hubs[1].url, TOKEN), tmp_path, next(numbers), **how)


@pytest.fixture
def calls(new_world):
    """The calls of a publish in which nothing goes wrong."""
    script, done, said = play(new_world())
    assert done, said
    return script.calls


@pytest.fixture
def published(new_world, tmp_path):
    """A repository with v1, v2 and further versions; their folders by tag."""

    def publish(*more):
        world = new_world(new=True)
        world.hub.faults = Script(world)
        folders = {}
        for tag in ("v1", "v2", *more):
            release = release_of(
                tmp_path / f"{world.repo.replace('/', '-')}-{tag}", world.repo, tag.encode() * 500, tag
            )
            world.whole[tag] = hashes(contents(release.folder))
            done, said = attempt(release)
            assert done, said
            folders[tag] = release.folder
        return world, folders

    return publish
