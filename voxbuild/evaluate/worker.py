"""What a worker of a cluster does: it hears a group of clips, and answers with the results."""

import pickle
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import TYPE_CHECKING, Any

from voxbuild.errors import one_line
from voxrun.errors import AudioError

from .jobs import Job, Result
from .transfer import Contents, UnfitError, find, scratch_of, weights

if TYPE_CHECKING:
    from voxrun.transcriber import Transcriber

_BUSY = Lock()
"""One group at a time, whatever the number of the worker's threads: there is one model."""
_OPEN: dict[tuple[Path, Contents], "Transcriber"] = {}
"""The model that heard last."""


@dataclass(frozen=True)
class Order:
    """What a worker is to hear."""

    jobs: tuple[Job, ...]
    """Of one model and one delay."""
    contents: Contents
    """What the model's folder must hold."""
    machine: dict[str, str]
    """What the worker must be like: see `machine.py`."""

    def packed(self) -> bytes:
        """A pickle whose loading hears the clips.

        To Dask it is a string. So the scheduler needs no voxbuild, and a worker without it fails at this
        task; a function of ours would end that worker's process.
        """
        return pickle.dumps(_Call(self))


@dataclass(frozen=True)
class _Call:
    order: Order

    def __reduce__(self) -> tuple[Any, ...]:
        return hear, (self.order,)


@dataclass(frozen=True)
class Answer:
    """The results of an order, or what is missing for it."""

    results: tuple[Result, ...] = ()
    missing: frozenset[str] = frozenset()
    """The hashes of files that the worker does not have: `transfer.keep` them, and ask again."""
    seconds: float = 0.0
    """Of work."""


def hear(order: Order) -> Answer:
    """Hear clips, or say which files are missing.

    Raises UnfitError if another worker may do better, AudioError and VoxbuildError as a local runner does.
    """
    from distributed import get_worker

    with _BUSY:
        begun = perf_counter()
        _refuse_other_machine(order.machine)
        jobs, missing = _found(order.jobs, scratch_of(get_worker()))
        if missing:
            return Answer(missing=missing)
        folder = weights(order.jobs[0].model, order.contents)
        try:
            results = compute(opened(folder, order.contents), jobs)
        except AudioError as error:
            raise AudioError(_as_asked(str(error), jobs, order.jobs)) from None
        except OSError as error:
            raise UnfitError(one_line(error)) from None
        return Answer(tuple(results), seconds=perf_counter() - begun)


def compute(transcriber: "Transcriber", jobs: Sequence[Job]) -> list[Result]:
    """The results of jobs, as a local runner has them."""
    from .local import heard_by

    results = dict(heard_by(transcriber, jobs))
    return [results[job] for job in jobs]


def opened(folder: Path, contents: Contents) -> "Transcriber":
    """The model in a folder with these contents, kept open until another is asked for."""
    from voxrun.transcriber import Transcriber

    if (folder, contents) not in _OPEN:
        _OPEN.clear()  # before the next one needs its memory
        _OPEN[folder, contents] = Transcriber.open(folder)
    return _OPEN[folder, contents]


def _refuse_other_machine(wanted: dict[str, str]) -> None:
    from .machine import differences, machine

    if different := differences(wanted, machine()):
        raise UnfitError(different)


def _found(jobs: Iterable[Job], scratch: Path) -> tuple[list[Job], frozenset[str]]:
    """The jobs with the paths of their files here, and the hashes of files that are missing."""
    found, missing = [], set()
    for job in jobs:
        path = find(job.path, job.sha256, scratch)
        if path is None:
            missing.add(job.sha256)
            continue
        reference = job.reference
        if reference:
            scores = find(reference.scores, reference.digest, scratch)
            if scores is None:
                missing.add(reference.digest)
                continue
            reference = replace(reference, scores=scores)
        found.append(replace(job, path=path, reference=reference))
    return found, frozenset(missing)


def _as_asked(message: str, here: Iterable[Job], asked: Iterable[Job]) -> str:
    """A message with the recordings' paths as the client knows them."""
    for ours, theirs in zip(here, asked, strict=True):
        message = message.replace(str(ours.path), str(theirs.path))
    return message
