"""Jobs computed in this process, with one model in memory at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np

from voxbuild.errors import ValidationError
from voxrun.arrays import FloatArray
from voxrun.audio.file import FileSource
from voxrun.mlx_thread import computed
from voxrun.parallel import one_blas_thread
from voxrun.stream.at_once import sessions_at_once
from voxrun.stream.decoding import one_pass, passes
from voxrun.stream.generator import Generator
from voxrun.stream.scoring import Recording, Scorer
from voxrun.stream.words import text_of
from voxrun.transcriber import Transcriber

from .jobs import Job, Result
from .scores import Scores

MEMORY = 2**27
"""Bytes from which no further clip is begun: with a model of full size, two or three are heard at once."""
P = ParamSpec("P")
T = TypeVar("T")


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

    A result does not depend on the other jobs. Raises AudioError for a clip that cannot be read,
    ValidationError for a source without finite results, or scores that are damaged.
    """
    scorer, at_once = Scorer(transcriber.model, transcriber.tokenizer), sessions_at_once(transcriber.model)
    following, hearing = iter(jobs), list[_Hearing]()
    while True:
        while _room(hearing, at_once) and (job := next(following, None)):
            samples = np.concatenate(list(FileSource(job.path, transcriber.rate)))
            hearing.append(_computed(_begin, scorer, job, samples))
        if not hearing:
            return
        _computed(_go_on, scorer, hearing)
        for each in [each for each in hearing if each.is_done]:
            hearing.remove(each)
            yield each.job, _computed(each.result)


def _room(hearing: Sequence["_Hearing"], at_once: int) -> bool:
    """Whether another clip can be begun."""
    taken = sum(each.recording.nbytes for each in hearing if not each.is_done)
    return len(hearing) < at_once and taken < MEMORY


def _computed(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In MLX's thread; a damaged model gives no warnings."""

    def quietly() -> T:
        with one_blas_thread(), np.errstate(all="ignore"):
            return function(*args, **kwargs)

    return computed(quietly)


@dataclass
class _Hearing:
    """A clip that is being heard."""

    job: Job
    recording: Recording
    seconds: float
    tokens: list[int]
    """Those that the model has written."""
    kl: Any = None
    same: Any = None

    @property
    def generator(self) -> Generator | None:
        return self.recording.generator

    @property
    def is_done(self) -> bool:
        return self.generator is None or self.generator.over

    def result(self) -> Result:
        text = text_of(self.recording.scorer.tokenizer, self.tokens).strip()
        scores = _scores(self.job, self.recording.logits(self.tokens)) if self.job.reference is None else None
        return Result(text, tuple(self.tokens), self.seconds, self.kl, self.same, scores)


def _begin(scorer: Scorer, job: Job, samples: FloatArray) -> _Hearing:
    """Encode a clip and compare it with the source; what it agrees with need not be written again."""
    recording = scorer.hear(samples, job.delay_ms)
    hearing = _Hearing(job, recording, len(samples) / scorer.model.config.audio.sampling_rate, [])
    if job.reference is None:
        recording.generate()
        return hearing
    tokens, scores = job.reference.tokens, Scores.load(job.reference.scores, job.reference.digest)
    hearing.kl, hearing.same = scores.compared(recording.logits(tokens))
    hearing.tokens = list(tokens[: recording.generator.n_tokens] if recording.generator else tokens)
    return hearing


def _go_on(scorer: Scorer, hearing: Sequence[_Hearing]) -> None:
    """One pass of the decoder for all clips that are not done."""
    ready = [(each, each.generator) for each in hearing if each.generator and not each.is_done]
    for together in passes(ready):
        takes = one_pass(scorer.model, [generator for _, generator in together])
        for (each, _), take in zip(together, takes, strict=True):
            each.tokens += [id for id, _ in take()]


def _scores(job: Job, logits: Iterator[Any]) -> Scores:
    try:
        return Scores.of(logits)
    except ValueError as error:
        raise ValidationError(
            f"the unquantized source in {job.model.folder} is not usable: its weights give no finite result"
            " (NaN or infinite logits); repair or replace them"
        ) from error
