"""Which clips a worker hears next: groups of one model and one delay, dealt so that models change rarely."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxbuild.errors import ClusterError

from .jobs import Job, Model

SIZE = 8
"""Jobs in a group: as many as a model hears at once."""
MOST_LOSSES = 3
"""Workers that may be lost over a clip."""


@dataclass(frozen=True)
class Group:
    """Jobs of one model and one delay."""

    jobs: tuple[Job, ...]
    losses: int = 0
    """Workers that were lost while they heard them."""

    @property
    def model(self) -> Model:
        """The model that hears them."""
        return self.jobs[0].model


class Groups:
    """The groups that wait for a worker. They depend on the jobs alone, not on the workers."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._waiting: dict[str, deque[Group]] = {}
        alike: dict[tuple[str, float], list[Job]] = {}
        for job in jobs:
            alike.setdefault((job.model.digest, job.delay_ms), []).append(job)
        for members in alike.values():
            for first in range(0, len(members), SIZE):
                group = Group(tuple(members[first : first + SIZE]))
                self._waiting.setdefault(group.model.digest, deque()).append(group)

    def __bool__(self) -> bool:
        """Whether any group waits."""
        return any(self._waiting.values())

    def take(self, opened: str | None, others: Iterable[str | None]) -> Group | None:
        """The next group for a worker: of the model that it has opened, if there is one.

        Otherwise of the model with most groups for each worker: `others` are the digests of what those have
        opened.
        """
        others = list(others)
        waiting = {digest: groups for digest, groups in self._waiting.items() if groups}
        if not waiting:
            return None
        if opened not in waiting:
            opened = max(waiting, key=lambda digest: len(waiting[digest]) / (1 + others.count(digest)))
        return waiting[opened].popleft()

    def put_back(self, group: Group) -> None:
        """Let another worker hear a group."""
        self._waiting[group.model.digest].appendleft(group)

    def put_back_lost(self, group: Group) -> None:
        """Let others hear the clips of a worker that was lost, one by one: one of them may be the reason.

        Raises ClusterError for a clip over which too many workers were lost.
        """
        losses = group.losses + 1
        if losses >= MOST_LOSSES and len(group.jobs) == 1:
            job = group.jobs[0]
            raise ClusterError(
                f"{losses} workers were lost while {job.model.name} heard {job.name} at {job.delay_ms:g} ms;"
                " see their logs (is their memory enough?)"
            )
        for job in reversed(group.jobs):
            self.put_back(Group((job,), losses))
