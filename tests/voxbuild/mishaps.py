"""What goes wrong at the n-th call of a publisher, and what readers see while it does."""

import re
from dataclasses import dataclass

from hub_server.faults import Mishaps

COMMIT = re.compile(r"\b[0-9a-f]{40}\b")


def kind_of(call, repo):
    """A call without what differs from run to run."""
    call = re.sub(r"/lfs/.*", "/lfs", COMMIT.sub("COMMIT", call.replace(repo, "REPO")))
    return call.replace("/api/models/", "/").replace("/api/", "/")


class Script:
    """Stands for a server's faults: knows each call by its number, looks around before each, then acts."""

    def __init__(self, world, act=lambda number, call: {}):
        self.world, self.act = world, act
        self.calls, self.seen, self._state = [], [world.look()], None

    def take(self, call):
        number = len(self.calls)
        self.calls.append(kind_of(call, self.world.repo))
        happens = self.act(number, self.calls[-1])
        surprise = happens.pop("before", None)

        def before():
            self.look()
            if surprise:
                surprise()

        return Mishaps(before=before, **happens)

    def look(self):
        """Note what readers see, if it is something new."""
        if (state := self.world.state()) == self._state:
            return
        self._state, now = state, self.world.look()
        if now != self.seen[-1]:
            self.seen.append(now)


def once(number, **mishap):
    """At one call."""
    return lambda n, call: dict(mishap) if n == number else {}


def for_good(number, **mishap):
    """From one call on, at it and whatever is like it."""
    like = []

    def act(n, call):
        if n == number:
            like.append(call)
        return dict(mishap) if call in like else {}

    return act


@dataclass(frozen=True)
class Outcome:
    """What came of one publish with a mishap, and of the next without."""

    said: str
    seen: tuple[str, ...]
    rerun: str
    log: tuple[str, ...]
