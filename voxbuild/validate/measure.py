"""What an artifact, its source and its views hear in clips, and whether the source hears them at all."""

from collections.abc import Sequence
from pathlib import Path

from voxbuild.artifact.variant import Variant
from voxbuild.calibrate.recordings import transcripts
from voxbuild.console import progress_bar, say
from voxbuild.errors import ValidationError
from voxbuild.evaluate.jobs import Job, Model, Reference, Result
from voxbuild.evaluate.models import artifact_model, default_delay, jobs_for, source_model
from voxbuild.evaluate.records import Records
from voxbuild.evaluate.run import references, results
from voxbuild.evaluate.runners import runner_for
from voxbuild.recipes.gates import WORST_WER
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.source import ClipSet, Source
from voxbuild.statistics.errors import errors_over
from voxbuild.workspace import Workspace

Heard = dict[str, Result]
"""Clip name -> what was heard, and how near it was to the source."""


def source_hears(
    work: Workspace,
    source: Source,
    clips: Sequence[Clip],
    delay_ms: float | None = None,
    scheduler: str | None = None,
) -> list[tuple[Result, Reference]]:
    """What the unquantized source hears in clips, from the records or, if it is not there, heard now.

    `delay_ms`: None is its default. `scheduler`: a cluster's address, see `runner_for`. Raises AudioError,
    SourceError, ClusterError, and ValidationError if it has no finite results.
    """
    model = source_model(work, source)
    jobs = jobs_for(model, clips, default_delay(model) if delay_ms is None else delay_ms)
    records, elsewhere = _records(work, source, model, jobs)
    if elsewhere:
        say(
            f"{source.name}: it heard the clips with other versions or on another device; the artifact is"
            " compared with that"
        )
    with progress_bar(f"reference {source.name}", len(clips), "clip") as bar:
        return references(jobs, records, runner_for(scheduler), bar.update)


def heard_elsewhere(variant: Variant, clips: Sequence[Clip]) -> bool:
    """Whether what an artifact is compared with was heard by other versions or on another device."""
    model, delay_ms = source_model(variant.work, variant.source), default_delay(artifact_model(variant))
    return _records(variant.work, variant.source, model, jobs_for(model, clips, delay_ms))[1]


def _records(work: Workspace, source: Source, model: Model, jobs: Sequence[Job]) -> tuple[Records, bool]:
    """The source's records, and whether they are of another setting than this process's.

    Those only serve a source that is not here, if they know all jobs.
    """
    if not model.absent:
        return Records(work.records(source.name)), False
    own, *others = Records.of_all_settings(work.records(source.name), model, jobs[0].delay_ms)
    known = (each for each in (own, *others) if all(each.get(job) for job in jobs))
    found = next(known, own)
    return found, found is not own


def both_hear(variant: Variant, clips: Sequence[Clip], scheduler: str | None = None) -> tuple[Heard, Heard]:
    """What an artifact and its source hear in clips, at the artifact's default delay; records as above.

    One model is in memory at a time. Raises as `source_hears`.
    """
    model, names = artifact_model(variant), [clip.name for clip in clips]
    delay_ms = default_delay(model)
    known = source_hears(variant.work, variant.source, clips, delay_ms, scheduler)
    jobs = jobs_for(model, clips, delay_ms, [reference for _, reference in known])
    with progress_bar(f"validate {variant.recipe.name}", len(clips), "clip") as bar:
        records = Records(variant.work.records(variant.source.name))
        heard = results(jobs, records, runner_for(scheduler), bar.update)
    return dict(zip(names, heard, strict=True)), dict(zip(names, (r for r, _ in known), strict=True))


def listen(model: Path, clips: Sequence[Clip]) -> list[str]:
    """What the model in a folder hears in each clip. Raises AudioError for one that cannot be read."""
    return [heard.text.strip() for heard in transcripts(model, [clip.path for clip in clips])]


def check_reference(source: str, clip_set: ClipSet, clips: Sequence[Clip], heard: Sequence[str]) -> None:
    """Raises ValidationError if the unquantized source does not hear the clips.

    Then no artifact of it can be judged, and the artifact is not to blame.
    """
    wer = errors_over([clip.text for clip in clips], heard, clip_set.normaliser).wer
    if wer > WORST_WER:
        raise ValidationError(
            f"the unquantized source {source} has a WER of {wer:.0f} % on {clip_set.name}; {WORST_WER:g} % is"
            " the limit: the clips (another language? wrong transcripts?) or the source are wrong"
        )
