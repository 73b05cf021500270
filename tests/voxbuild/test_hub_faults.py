"""Whatever goes wrong while publishing: readers see nothing half, and the next publish ends it."""

import itertools
import time

import pytest
from hub_server import TOKEN, Refusal, serving
from mishaps import Outcome, Script, for_good, once
from publishers import Reader, World, attempt, connect, disconnect

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # how the client uploads


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """One for publishers and one for readers, over the same files."""
    folder = tmp_path_factory.mktemp("hub")
    with serving(folder) as hub, serving(folder) as other:
        yield hub, other


@pytest.fixture
def slept(servers, monkeypatch):
    yield connect(monkeypatch, servers[0].url, TOKEN)
    disconnect()


NUMBERS = itertools.count()


@pytest.fixture
def new_world(servers, slept, tmp_path):
    hub, other = servers
    return lambda: World(hub, Reader(other.url), tmp_path, next(NUMBERS))


def play(world, act=lambda number, call: {}):
    script = Script(world, act)
    world.hub.faults = script
    done, said = attempt(world.release)
    script.look()
    return script, done, said


def test_clean(new_world):
    world = new_world()
    t = time.time()
    script, done, said = play(world)
    print(time.time() - t, done, said)
    print("\n".join(script.calls), script.seen, world.reader.log(world.repo))
    t = time.time()
    script, done, said = play(world)
    print(time.time() - t, done, said)
    print("\n".join(script.calls), script.seen, world.reader.log(world.repo))
    raise SystemExit
