"""Publishers killed at every call; the server still processes what they had sent."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait

import pytest
from fault_table import ROWS
from hub_server import TOKEN
from mishaps import once, outcome
from patience import PATIENCE
from publishers import publish_alone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning"),  # how the client uploads
]
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["voxbuild.publish.hub.target", "huggingface_hub.hf_api", "httpx2"])


class Doomed:
    """A publisher in a process of its own, to be killed when a call of it has come."""

    def __init__(self, world):
        arguments = (world.hub.url, TOKEN, world.release.folder, world.repo)
        self._process = FORKS.Process(target=publish_alone, args=arguments)

    def publish(self, release):
        """Until it ends, and what it sent is dealt with."""
        before = set(threading.enumerate())
        self._process.start()
        self._process.join(PATIENCE)
        for connection in set(threading.enumerate()) - before:
            connection.join(PATIENCE)
        code = self._process.exitcode
        return code == 0, "killed" if code == -signal.SIGKILL else f"exit code {code}"

    def kill(self, script=None):
        os.kill(self._process.pid, signal.SIGKILL)
        assert wait([self._process.sentinel], PATIENCE)


def test_killed_at_each_call(new_world, calls):
    found = ROWS["SIGKILL"] = {}
    for number in range(len(calls)):
        world = new_world()
        doomed = Doomed(world)
        found[number + 1] = outcome(world, once(number, before=doomed.kill), publish=doomed.publish)
    assert {outcome.said for outcome in found.values()} == {"killed"}


def test_killed_within_an_upload(new_world, calls):
    number = next(n for n, call in enumerate(calls) if call.startswith("PUT "))
    world = new_world()
    doomed = Doomed(world)
    found = outcome(world, once(number, within=doomed.kill), publish=doomed.publish)
    assert found.said == "killed"
    ROWS["SIGKILL within an upload"] = {number + 1: found}
