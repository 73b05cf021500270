"""What a worker of a cluster does: it hears a group of clips, and answers with the results.

The scheduler imports this module, too, so what is heavy is imported where it is used.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

from voxbuild.errors import VoxbuildError, one_line
from voxbuild.files import stamp, written_whole
from voxrun.errors import AudioError, VoxrunError
from voxrun.files.hashes import sha256_of

from .jobs import Job, Model, Result

_BUSY = Lock()
"""One group at a time, whatever the number of the worker's threads: there is one model."""


class UnfitError(VoxbuildError):
    """One worker cannot hear the clips; another may."""


@dataclass(frozen=True)
class Order:
    """What a worker is to hear."""

    jobs: tuple[Job, ...]
    """Of one model and one delay."""
    machine: dict[str, str]
    """What the worker must be like: see `machine.py`."""


@dataclass(frozen=True)
class Answer:
    """The results of an order, or what is missing for it."""

    results: tuple[Result, ...] = ()
    missing: frozenset[str] = frozenset()
    """The hashes of files that the worker does not have: `keep` them, and ask again."""
    seconds: float = 0.0
    """Of work."""


def hear(order: Order) -> Answer:
    """Hear clips, or say which files are missing.

    Raises UnfitError if another worker may do better, AudioError and VoxbuildError as a local runner does.
    """
    with _BUSY:
        begun = perf_counter()
        _refuse_other_machine(order.machine)
        found = [_found(job) for job in order.jobs]
        missing = frozenset(hash for _, absent in found for hash in absent)
        if missing:
            return Answer(missing=missing)
        jobs = [job for job, _ in found]
        folder = weights(order.jobs[0].model)
        jobs = [replace(job, model=replace(job.model, folder=folder)) for job in jobs]
        try:
            results = compute(jobs)
        except AudioError as error:
            raise AudioError(_as_asked(str(error), jobs, order.jobs)) from None
        return Answer(tuple(results), seconds=perf_counter() - begun)


def compute(jobs: Sequence[Job]) -> list[Result]:
    """The results of jobs of one model and delay; the model stays open until another is asked for."""
    raise NotImplementedError


def _refuse_other_machine(wanted: dict[str, str]) -> None:
    from .machine import differences, machine

    if different := differences(wanted, machine()):
        raise UnfitError(different)


def _found(job: Job) -> tuple[Job, set[str]]:
    """The job with the paths of its files here, and the hashes of those that are missing."""
    path, absent = _file(job.path, job.sha256), set()
    if path is None:
        absent.add(job.sha256)
    else:
        job = replace(job, path=path)
    if job.reference:
        scores = _file(job.reference.scores, job.reference.digest)
        if scores is None:
            absent.add(job.reference.digest)
        else:
            job = replace(job, reference=replace(job.reference, scores=scores))
    return job, absent


def _file(path: Path, sha256: str) -> Path | None:
    """The file with this content: at its path, or as it was sent."""
    from distributed import get_worker

    for place in (path, _kept(sha256, get_worker())):
        try:
            if _sha256(place, *stamp(place)) == sha256:
                return place
        except OSError:
            continue
    return None


@cache
def _sha256(path: Path, *stamped: int) -> str:
    """The hash of a file, computed again only if its stamp changes."""
    return sha256_of(path)


def keep(files: dict[str, bytes], dask_worker: Any) -> None:
    """Keep the contents of files, by their hashes, until the worker ends. Dask gives the worker."""
    for sha256, content in files.items():
        path = _kept(sha256, dask_worker)
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial:
            partial.write_bytes(content)


def _kept(sha256: str, worker: Any) -> Path:
    return Path(worker.local_directory) / "voxbuild" / sha256


@cache
def weights(model: Model) -> Path:
    """The folder of a model on this machine: the same path, or its repository. Raises UnfitError."""
    if model.folder.is_dir() and digest_of(model.folder) == model.digest:
        return model.folder
    if model.repo is None:
        raise UnfitError(
            f"{model.folder} is not there, or has other weights than here; share the folder, or publish it"
        )
    from voxrun.trust.locate import locate

    try:
        folder = locate(model.repo)
    except VoxrunError as error:
        raise UnfitError(one_line(error)) from None
    if digest_of(folder) != model.digest:
        raise UnfitError(f"{model.repo} has other weights than {model.name} here")
    return folder


def _as_asked(message: str, here: Iterable[Job], asked: Iterable[Job]) -> str:
    """A message with the recordings' paths as the client knows them."""
    for ours, theirs in zip(here, asked, strict=True):
        message = message.replace(str(ours.path), str(theirs.path))
    return message
