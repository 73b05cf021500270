"""Faults at the n-th call of a publisher, what readers see meanwhile, and the outcome."""

import re
import threading
from dataclasses import dataclass
from types import SimpleNamespace

from hub_server import TOKEN
from hub_server.faults import Mishaps
from patience import PATIENCE
from publishers import attempt

from voxbuild.publish.hub import client


def kind_of(call, repo):
    """A call without the parts that differ from run to run."""
    call = re.sub(r"/lfs/[0-9a-f]{64}.*", "/lfs/SHA256", re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", call))
    return call.replace(repo, "REPO").replace("/api/models/", "/").replace("/api/", "/")


class Script:
    """Replaces a server's faults: counts calls, lets readers look before each is answered, then acts.

    `act(number, kind of call)` says what happens to it: fields of Mishaps.
    """

    def __init__(self, world, act=lambda number, call: {}):
        self.world, self.act = world, act
        self.calls, self.seen, self._state = [], [world.look()], world.state()
        self.ended, self.late = threading.Event(), []

    def take(self, call, first=0):
        self.calls.append(kind_of(call, self.world.repo))
        happens = self.act(len(self.calls) - 1, self.calls[-1])
        surprise = happens.pop("before", None)

        def before():
            self.look()
            if surprise:
                surprise(self)

        return Mishaps(before=before, **happens)

    def wait(self):
        """Answer a call after the publisher has ended."""
        self.late.append(threading.current_thread())
        self.ended.wait(PATIENCE)

    def look(self):
        """Record what readers see, if it changed."""
        if (state := self.world.state()) != self._state:
            self._state, now = state, self.world.look()
            if now != self.seen[-1]:
                self.seen.append(now)


def once(number, **mishap):
    """At one call."""
    return lambda n, call: dict(mishap) if n == number else {}


def for_good(number, **mishap):
    """At one call and, from it on, at all that are like it."""
    like = set()

    def act(n, call):
        if n == number:
            like.add(call)
        return dict(mishap) if call in like else {}

    return act


class SlowAnswers:
    """A clock for the client, which stands still but for the first bytes of an answer that is to be slow."""

    def __init__(self, patch):
        self._now, self._looks = 0.0, 0
        patch.setattr(client, "time", SimpleNamespace(monotonic=self._monotonic, sleep=client.time.sleep))

    def _monotonic(self):
        if self._looks:
            self._looks -= 1
            self._now += 2 * client.TIMEOUT
        return self._now

    def at(self, act):
        """What happens to a call, the mishap `slow` among it."""

        def acts(number, call):
            happens = act(number, call)
            self._looks = 2 if happens.pop("slow", False) else 0  # before and after the first bytes
            return happens

        return acts


@dataclass(frozen=True)
class Outcome:
    """What came of a publish with a mishap, and of the next one without."""

    said: str
    seen: tuple[str, ...]
    rerun: str


def play(world, act=lambda number, call: {}, publish=attempt):
    """Publish while something goes wrong; (the script, whether it is published, what was said)."""
    script = Script(world, act)
    world.hub.faults = script
    try:
        done, said = publish(world.release)
    except KeyboardInterrupt as interrupt:
        done, said = False, f"interrupted: {interrupt}".removesuffix(": ")
    finally:
        script.ended.set()
    for thread in script.late:
        thread.join(PATIENCE)
    script.look()
    check(script, done, said)
    return script, done, said


def check(script, done, said):
    """What holds after any fault: no incomplete release, one sentence, no token, no unreported tag."""
    assert not [seen for seen in script.seen if "something else" in seen], script.seen
    assert "\n" not in said
    assert TOKEN not in said
    assert len(script.calls) < 60  # it is not tried for ever
    if done:
        assert "v2 holds v2" in script.seen[-1]


def outcome(world, act, release=None, publish=attempt, commits=1):
    """Publish with a mishap and then without; that ends it, with one commit that holds the release."""
    script, done, said = play(world, act, publish)
    world.hub.quota, world.hub.skew = None, 0.0
    world.hub.wrong_hashes.clear()
    again = Script(world)
    world.hub.faults = again
    ended, then = attempt(release or world.release)
    assert ended, then
    assert "v2 holds v2" in world.look()
    assert world.log().count("Publish v2") == commits
    return Outcome("published" if done else plain(said, world), tuple(script.seen), writes(again))


def writes(script):
    """Which of the calls with a visible effect were made."""
    wrote = [name for name in ("commit", "tag") if any(f"/{name}/" in call for call in script.calls)]
    return " and ".join(wrote) or "nothing left to do"


def plain(said, world):
    """A message without the parts that differ from run to run."""
    said = re.sub(r"to (GET|HEAD|POST|PUT) [^ :;]+", "to CALL", said.replace(world.hub.url, "HUB"))
    return re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", said).replace(world.repo, "REPO")
