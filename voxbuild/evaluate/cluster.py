"""The runner on a Dask cluster: it deals groups of clips to the workers, and those of a lost worker again.

Dask carries orders and answers, and tells who is there. Who hears what is decided here, because a worker
should keep its model, and because a worker that is not like this machine must hear nothing.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Collection, Iterator, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from voxbuild.console import say, some_of
from voxbuild.errors import ClusterError, VoxbuildError, one_line
from voxrun.errors import VoxrunError

from .connection import connect
from .groups import Group, Groups
from .jobs import Job, Result
from .machine import machine
from .transfer import UnfitError, content_of, contents, keep, memory_for
from .worker import Answer, Order

if TYPE_CHECKING:
    from distributed import Future

WORKER_SECONDS = 600
"""How long to wait for a worker if there is none."""
CLOSE_SECONDS = 5
"""How long to wait until the answers that nobody waits for are cancelled."""
LOOK_SECONDS = 0.2
"""Between two looks at who is there, if nothing is done meanwhile."""
LOST = "the connection to the scheduler is lost; what was heard is kept, so run it again"


class Cluster:
    """Computes jobs with the workers of the Dask scheduler at an address: tcp://HOST:PORT or tls://HOST:PORT."""

    def __init__(self, address: str) -> None:
        self.address = address

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Each job once with its result, as they arrive; at the end the costs are told on stderr.

        Raises ClusterError if there is no scheduler or no worker that may hear them, or if workers are lost
        over a clip again and again; AudioError and VoxbuildError as a local runner.
        """
        if not jobs:
            return
        run = _Run(self.address, jobs)
        try:
            yield from run.results()
            say(run.costs())
        finally:
            run.close()


@dataclass
class _Worker:
    """A worker that hears, and what it did."""

    address: str
    opened: str | None = None
    """The digest of the model that it has opened."""
    sent: set[str] = field(default_factory=set)
    """The hashes of files that it was sent."""
    clips: int = 0
    audio: float = 0.0
    """Seconds of audio."""
    busy: float = 0.0
    """Seconds of work."""


@dataclass(frozen=True)
class _Asked:
    """An order to a worker."""

    worker: _Worker
    group: Group
    future: Future[Answer]


class _Run:
    """One run of jobs on a cluster."""

    def __init__(self, address: str, jobs: Sequence[Job]) -> None:
        self._groups, self._machine = Groups(jobs), machine()
        self._memory = max(map(memory_for, {job.model.folder for job in jobs}))
        self._present: dict[str, _Worker] = {}
        self._refused: dict[str, str] = {}
        self._all: list[_Worker] = []
        self._asked: dict[futures.Future[list[Answer]], _Asked] = {}
        self._waiting = False
        self._client: Any = connect(address)
        self._begun = self._seen = monotonic()

    def results(self) -> Iterator[tuple[Job, Result]]:
        while self._groups or self._asked:
            self._look()
            self._deal()
            if not self._asked:
                sleep(LOOK_SECONDS)
            done, _ = futures.wait(self._asked, LOOK_SECONDS, futures.FIRST_COMPLETED)
            for answer in done:
                heard = self._heard(answer)
                self._deal()
                yield from heard

    def close(self) -> None:
        """Cancel what is not heard yet, and leave the cluster."""
        for asked in self._asked.values():
            asked.future.cancel()
        futures.wait(self._asked, CLOSE_SECONDS)
        self._client.close()

    def costs(self) -> str:
        """What the run took, in a line: the factor of real time is a worker's, not the cluster's."""
        clips, audio, busy = (
            sum(getattr(each, name) for each in self._all) for name in ("clips", "audio", "busy")
        )
        parts = [f"{each.address} {each.clips} in {each.busy:.1f} s" for each in self._all if each.clips]
        return (
            f"cluster: {clips} clip(s) with {audio:.1f} s of audio in {monotonic() - self._begun:.1f} s;"
            f" {busy:.1f} s of work, {busy / audio if audio else 0:.3f} of real time: {', '.join(parts)}"
        )

    def _look(self) -> None:
        """See which workers have come and gone. Raises ClusterError if there is none for long."""
        limits = self._limits()
        for address in set(self._present) - set(limits):
            self._lose(self._present.pop(address))
        for address in sorted(set(limits) - set(self._present) - set(self._refused)):
            self._present[address] = worker = _Worker(address)
            self._all.append(worker)
            if 0 < limits[address] < self._memory:
                self._refuse(
                    worker,
                    f"its memory limit is {limits[address] / 1e9:.1f} GB, and the largest model takes"
                    f" {self._memory / 1e9:.1f} GB; start it with --memory-limit 0",
                )
        if self._present:
            self._seen, self._waiting = monotonic(), False
        else:
            self._wait()

    def _limits(self) -> dict[str, int]:
        """The bytes of memory that each worker may use, 0: all; without those that Dask has paused."""
        try:  # not Client.scheduler_info, which at times has no workers: it shares a cache with a timer
            known = self._client.sync(self._client.scheduler.identity, n_workers=-1)["workers"]
        except (OSError, RuntimeError, ValueError) as error:  # the last two: the client was closed meanwhile
            raise ClusterError(f"{LOST} ({one_line(error)})") from error
        return {
            address: each["memory_limit"] or 0
            for address, each in known.items()
            if each["status"] != "paused"
        }

    def _wait(self) -> None:
        """There is no worker: one may come. Raises ClusterError if none can be expected."""
        if self._refused and len(self._refused) == len(self._all):
            refused = [f"{address}: {reason}" for address, reason in self._refused.items()]
            raise ClusterError(f"no worker can hear the clips: {some_of(refused)}")
        if not self._waiting:
            say("cluster: there is no worker at the moment; waiting for one")
            self._waiting = True
        if monotonic() - self._seen > WORKER_SECONDS:
            raise ClusterError(
                f"the cluster had no worker for {WORKER_SECONDS} s; start some with"
                " `dask worker ADDRESS --nthreads 1`"
            )

    def _lose(self, worker: _Worker) -> None:
        for answer in [each for each, asked in self._asked.items() if asked.worker is worker]:
            asked = self._asked.pop(answer)
            asked.future.cancel()
            clips = len(asked.group.jobs)
            say(f"cluster: {worker.address} is lost or out of memory; {clips} clip(s) are heard again")
            self._groups.put_back_lost(asked.group)

    def _refuse(self, worker: _Worker, reason: str) -> None:
        say(f"cluster: {worker.address} is refused: {reason}")
        self._refused[worker.address] = reason
        self._present.pop(worker.address, None)

    def _deal(self) -> None:
        """Give every idle worker a group."""
        busy = {asked.worker.address for asked in self._asked.values()}
        for worker in [each for each in self._present.values() if each.address not in busy]:
            others = [each.opened for each in self._present.values() if each is not worker]
            if group := self._groups.take(worker.opened, others):
                worker.opened = group.model.digest
                self._ask(worker, group)

    def _ask(self, worker: _Worker, group: Group) -> None:
        order = Order(group.jobs, contents(group.model.folder), self._machine)
        future = self._client.submit(
            pickle.loads,
            order.packed(),
            key=f"hear-{group.model.name}-{uuid4()}",
            workers=[worker.address],
            allow_other_workers=False,
        )
        loop = self._client.loop.asyncio_loop  # a call that waits would not end if the worker is lost
        answer = asyncio.run_coroutine_threadsafe(self._client.gather([future], asynchronous=True), loop)
        self._asked[answer] = _Asked(worker, group, future)

    def _heard(self, answer: futures.Future[list[Answer]]) -> list[tuple[Job, Result]]:
        """The results of a group that is done; none if it must be heard otherwise."""
        from distributed import KilledWorker

        asked = self._asked.pop(answer)
        worker, group = asked.worker, asked.group
        try:
            [told] = answer.result()
        except futures.CancelledError as error:
            raise ClusterError(f"{LOST} (it has dropped the work)") from error
        except KilledWorker:
            self._groups.put_back_lost(group)
        except Exception as error:
            if isinstance(error, VoxbuildError | VoxrunError) and not isinstance(error, UnfitError):
                raise
            self._refuse(worker, one_line(error) if isinstance(error, UnfitError) else repr(error))
            self._groups.put_back(group)
        else:
            if told.missing:
                self._send(worker, group, told.missing)
                return []
            worker.clips += len(group.jobs)
            worker.audio += sum(result.seconds for result in told.results)
            worker.busy += told.seconds
            return list(zip(group.jobs, told.results, strict=True))
        return []

    def _send(self, worker: _Worker, group: Group, missing: Collection[str]) -> None:
        """Send a worker files that it does not have, and let it hear the group then."""
        references = [job.reference for job in group.jobs if job.reference]
        paths = {job.sha256: job.path for job in group.jobs} | {
            each.digest: each.scores for each in references
        }
        try:
            if worker.sent.issuperset(missing):
                raise OSError(f"{worker.address} does not keep the files that it is sent")
            for sha256 in sorted(missing):
                content = content_of(paths[sha256], sha256)
                self._client.run(keep, sha256, content, workers=[worker.address])
                worker.sent.add(sha256)
        except Exception as error:
            if isinstance(error, VoxbuildError):
                raise
            if worker.address in self._limits():
                self._refuse(worker, one_line(error))
            self._groups.put_back(group)
        else:
            self._ask(worker, group)
