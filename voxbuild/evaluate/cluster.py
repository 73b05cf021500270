"""The runner on a Dask cluster: it deals groups of clips to the workers, and those of a lost worker again.

Dask carries orders and answers, and tells who is there. Who hears what is decided here, because a worker
should keep its model, and because a worker that is not like this machine must hear nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import pickle
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import TYPE_CHECKING
from uuid import uuid4

from voxbuild.console import say, some_of
from voxbuild.errors import ClusterError, ValidationError, VoxbuildError, one_line
from voxrun.checkpoint.layout import Layout
from voxrun.errors import VoxrunError

from .groups import Group, Groups
from .jobs import Job, Model, Result
from .machine import machine
from .transfer import UnfitError, contents, keep
from .worker import Answer, Order

if TYPE_CHECKING:
    from distributed import Client, Future

    Asked = Future[Answer]

CONNECT_SECONDS = 10
WORKER_SECONDS = 600
"""How long to wait for a worker if there is none."""
ANSWER_SECONDS = 60
"""In which an answer that is ready must arrive; a worker lost in that moment would never send it."""
LOOK_SECONDS = 0.05
"""Between two looks at who is there, and what is done."""
BESIDE_WEIGHTS = 1e9
"""Bytes of memory that hearing takes, in addition to the weights."""
PAUSED_AT = 0.8
"""The share of its memory limit at which Dask pauses a worker."""
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
        client = _connect(self.address)
        try:
            run = _Run(client, jobs)
            yield from run.results()
            say(run.costs())
        finally:
            client.close()  # what is not heard yet is cancelled


def _connect(address: str) -> Client:
    """A client of the scheduler at an address. Raises ClusterError."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ClusterError(
            "scheduler= needs Dask, not installed here: pip install 'distributed>=2025.5'"
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # we tell what matters
    try:
        asyncio.run(_knock(address))  # a client that cannot connect would wait at the end of the process
        return Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="voxbuild")
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # the last two: TLS without its keys
        reason = one_line(error) or "it says nothing"
        raise ClusterError(
            f"{address}: no Dask scheduler answers there ({reason}); start one with `dask scheduler`"
        ) from error


async def _knock(address: str) -> None:
    """Connect and leave. Raises OSError, ValueError, TypeError, RuntimeError."""
    from distributed.comm.core import connect
    from distributed.security import Security

    secrets = Security().get_connection_args("client")
    async with asyncio.timeout(CONNECT_SECONDS + 1):  # Dask waits for ever for a server of another kind
        comm = await connect(address, CONNECT_SECONDS, **secrets)
    await comm.close()


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


class _Run:
    """One run of jobs on a connected cluster."""

    def __init__(self, client: Client, jobs: Sequence[Job]) -> None:
        self._client, self._groups, self._machine = client, Groups(jobs), machine()
        self._memory = max(_memory(model) for model in {job.model for job in jobs})
        self._present: dict[str, _Worker] = {}
        self._refused: dict[str, str] = {}
        self._all: list[_Worker] = []
        self._hearing: dict[Asked, tuple[_Worker, Group]] = {}
        self._begun = self._seen = monotonic()
        self._waiting = False

    def results(self) -> Iterator[tuple[Job, Result]]:
        while self._groups or self._hearing:
            self._look()
            self._deal()
            sleep(LOOK_SECONDS)
            for future in [each for each in self._hearing if each.done()]:
                heard = self._answered(future)
                self._deal()
                yield from heard

    def costs(self) -> str:
        """What the run took, in a line: the factor of real time is a worker's, not the cluster's."""
        clips, audio, busy = (
            sum(getattr(each, name) for each in self._all) for name in ("clips", "audio", "busy")
        )
        parts = [f"{each.address} {each.clips} in {each.busy:.1f} s" for each in self._all if each.clips]
        return (
            f"cluster: {clips} clips with {audio:.1f} s of audio in {monotonic() - self._begun:.1f} s;"
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
        try:
            there = set(self._client.nthreads())  # raises if the scheduler is gone
            known = self._client.scheduler_info(n_workers=-1)["workers"]
        except (OSError, RuntimeError, ValueError) as error:  # the last two: the client was closed meanwhile
            raise ClusterError(f"{LOST} ({one_line(error)})") from error
        return {
            address: each["memory_limit"] or 0
            for address, each in known.items()
            if address in there and each["status"] != "paused"
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
        for future in [each for each, (by, _) in self._hearing.items() if by is worker]:
            _, group = self._hearing.pop(future)
            say(
                f"cluster: {worker.address} is lost or out of memory; {len(group.jobs)} clips are heard again"
            )
            self._groups.put_back_lost(group)

    def _refuse(self, worker: _Worker, reason: str) -> None:
        say(f"cluster: {worker.address} is refused: {reason}")
        self._refused[worker.address] = reason
        self._present.pop(worker.address, None)

    def _deal(self) -> None:
        """Give every idle worker a group."""
        busy = {worker.address for worker, _ in self._hearing.values()}
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
        self._hearing[future] = worker, group

    def _answered(self, future: Asked) -> list[tuple[Job, Result]]:
        """The results of a group that is done; none if it must be heard otherwise."""
        from distributed import KilledWorker

        worker, group = self._hearing.pop(future)
        if future.cancelled():
            raise ClusterError(f"{LOST} (it has dropped the work)")
        try:
            answer: Answer = future.result(ANSWER_SECONDS)
        except TimeoutError:  # if its worker is lost, the next look tells
            self._hearing[future] = worker, group
        except KilledWorker:
            self._groups.put_back_lost(group)
        except Exception as error:
            if isinstance(error, VoxbuildError | VoxrunError) and not isinstance(error, UnfitError):
                raise
            self._refuse(worker, one_line(error) if isinstance(error, UnfitError) else repr(error))
            self._groups.put_back(group)
        else:
            if answer.missing:
                self._send(worker, group, answer.missing)
                return []
            worker.clips += len(group.jobs)
            worker.audio += sum(result.seconds for result in answer.results)
            worker.busy += answer.seconds
            return list(zip(group.jobs, answer.results, strict=True))
        return []

    def _send(self, worker: _Worker, group: Group, missing: Collection[str]) -> None:
        """Send a worker files that it does not have, and let it hear the group then."""
        try:
            if worker.sent.issuperset(missing):
                raise OSError(f"{worker.address} does not keep the files that it is sent")
            for sha256 in sorted(missing):
                self._client.run(keep, sha256, _content(group, sha256), workers=[worker.address])
                worker.sent.add(sha256)
        except Exception as error:
            if isinstance(error, VoxbuildError):
                raise
            if worker.address in self._limits():
                self._refuse(worker, one_line(error))
            self._groups.put_back(group)
        else:
            self._ask(worker, group)


def _memory(model: Model) -> float:
    """Bytes of a limit at which a worker is not paused while it hears with a model."""
    weights = sum(path.stat().st_size for path in Layout(model.folder).weight_files)
    return (weights + BESIDE_WEIGHTS) / PAUSED_AT


def _content(group: Group, sha256: str) -> bytes:
    """A file of a group, by its hash. Raises ValidationError if it has changed."""
    paths = {job.sha256: job.path for job in group.jobs}
    paths |= {job.reference.digest: job.reference.scores for job in group.jobs if job.reference}
    try:
        content = paths[sha256].read_bytes()
    except OSError as error:
        raise ValidationError(f"{paths[sha256]}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ValidationError(f"{paths[sha256]}: changed while clips were heard; run it again")
    return content
