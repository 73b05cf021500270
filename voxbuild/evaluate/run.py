"""The results of jobs: those that are known from the records, the others from a runner."""

from collections.abc import Callable, Sequence

from voxbuild.errors import SourceError

from .jobs import Job, Reference, Result, Runner
from .records import Records, key

Done = Callable[[], object]


def results(jobs: Sequence[Job], records: Records, runner: Runner, done: Done = lambda: None) -> list[Result]:
    """The result of each job, in their order; `done` is called for each, at once for what is known.

    What is heard is kept as it comes. Raises AudioError, VoxbuildError as the runner does; SourceError if
    something must be heard by a source that is not here.
    """
    found: dict[Job, Result] = {}
    twins: dict[str, list[Job]] = {}
    for job in jobs:
        if (known := records.get(job)) is not None:
            found[job] = known
            done()
        else:
            twins.setdefault(key(job), []).append(job)
    if absent := next((jobs[0].model.absent for jobs in twins.values() if jobs[0].model.absent), None):
        raise SourceError(f"{len(twins)} of {len(jobs)} clips were not heard: {absent}")
    for job, result in runner.run([same[0] for same in twins.values()]) if twins else ():
        kept = records.add(job, result)
        for twin in twins[key(job)]:  # the same recording in two clip sets
            found[twin] = kept
            done()
    return [found[job] for job in jobs]


def references(
    jobs: Sequence[Job], records: Records, runner: Runner, done: Done = lambda: None
) -> list[tuple[Result, Reference]]:
    """What the source wrote for each of its jobs, and what other models are compared with."""
    heard = results(jobs, records, runner, done)
    return [(result, records.reference(job)) for job, result in zip(jobs, heard, strict=True)]
