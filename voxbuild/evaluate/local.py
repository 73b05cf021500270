"""Jobs computed in this process, with one model in memory at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxbuild.errors import ValidationError
from voxrun.audio.file import FileSource
from voxrun.mlx_thread import computed
from voxrun.parallel import one_blas_thread
from voxrun.stream.at_once import sessions_at_once
from voxrun.stream.scoring import teacher_forced_logits
from voxrun.transcriber import Transcriber

from .jobs import Job, Result
from .scores import Scores


class Local:
    """The runner in this process."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Each job once with its result, model by model. Raises AudioError, VoxbuildError."""
        for folder in dict.fromkeys(job.model.folder for job in jobs):
            yield from hear(folder, [job for job in jobs if job.model.folder == folder])


def hear(folder: Path, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
    """Load the model in a folder, and let it hear clips: see `heard_by`."""
    return heard_by(Transcriber.open(folder), jobs)


def heard_by(transcriber: Transcriber, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
    """Let a model hear several clips at once; results as they come.

    Raises AudioError for a clip that cannot be read, ValidationError for a source without finite results.
    """
    pool = ThreadPoolExecutor(sessions_at_once(transcriber.model), "voxbuild-listen")
    try:
        futures = {pool.submit(partial(_heard, transcriber, job)): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for what is being heard


def _heard(transcriber: Transcriber, job: Job) -> Result:
    heard = transcriber.transcribe(job.path, delay_ms=job.delay_ms)
    samples = np.concatenate(list(FileSource(job.path, transcriber.rate)))
    given = heard.tokens if job.reference is None else list(job.reference.tokens)
    model, tokenizer = transcriber.model, transcriber.tokenizer
    logits = _computed(teacher_forced_logits(model, tokenizer, samples, given, job.delay_ms))
    result = Result(heard.text.strip(), tuple(heard.tokens), heard.seconds)
    if job.reference is None:
        return replace(result, scores=_scores(job, logits))
    kl, same = Scores.load(job.reference.scores, job.reference.digest).compared(logits)
    return replace(result, kl=kl, same=same)


def _computed(blocks: Iterator[Any]) -> Iterator[Any]:
    """The blocks, each computed in MLX's thread."""

    def following() -> Any:
        with one_blas_thread():
            block = next(blocks, None)
            return None if block is None else np.asarray(block)

    while (block := computed(following)) is not None:
        yield block


def _scores(job: Job, logits: Iterator[Any]) -> Scores:
    try:
        return Scores.of(logits)
    except ValueError as error:
        raise ValidationError(
            f"the unquantized source in {job.model.folder} is not usable: its weights give no finite result"
            " (NaN or infinite logits); repair or replace them"
        ) from error
