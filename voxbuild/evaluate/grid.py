"""A grid: the unquantized source and its artifacts, heard at delays over clip sets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from voxbuild.errors import RecipeError
from voxbuild.recipes.origins.base import Clip
from voxbuild.recipes.source import ClipSet
from voxrun.checkpoint.layout import Layout
from voxrun.errors import VoxrunError
from voxrun.stream.schedule import Schedule
from voxrun.stream.tokenizer import Tokenizer

from .jobs import Model, Result, Runner
from .models import jobs_for
from .records import Records
from .run import Done, references, results

Cell = tuple[str, float]
"""A model's name and a delay in ms."""


@dataclass(frozen=True)
class Grid:
    """What is heard: each model hears each clip at each delay."""

    source: Model
    variants: tuple[Model, ...]
    delays: tuple[float, ...]
    """In milliseconds."""
    default_delay: float
    sets: Mapping[str, ClipSet]
    clips: Mapping[str, Sequence[Clip]]
    """The clips of each set."""

    @property
    def models(self) -> tuple[Model, ...]:
        """The source first."""
        return (self.source, *self.variants)

    @property
    def everything(self) -> list[Clip]:
        """All clips, set by set."""
        return [clip for members in self.clips.values() for clip in members]

    def __len__(self) -> int:
        """How often a clip is heard."""
        return len(self.models) * len(self.delays) * len(self.everything)


Heard = Mapping[Cell, Sequence[Result]]
"""What each model heard at each delay, in the order of `Grid.everything`."""


def delays_of(source: Model, asked: Iterable[float]) -> tuple[float, ...]:
    """The delays to hear at, shortest first; none asked: the model's own.

    Raises RecipeError for a delay that the model cannot have, and voxrun's ConfigError.
    """
    audio, tokenizer = Layout(source.folder).config.audio, Tokenizer(source.folder)
    wanted = tuple(sorted({float(delay) for delay in asked})) or (tokenizer.default_delay_ms,)
    for delay in wanted:
        try:
            Schedule.for_delay(audio, tokenizer, delay)
        except VoxrunError as error:
            raise RecipeError(f"delays={delay:g}: {error}") from error
    return wanted


def hear(grid: Grid, records: Records, runner: Runner, done: Done) -> Heard:
    """Let every model hear every clip, the source first; `done` is called for each.

    Raises AudioError, VoxbuildError.
    """
    clips = grid.everything
    asked = [job for delay in grid.delays for job in jobs_for(grid.source, clips, delay)]
    known = references(asked, records, runner, done)
    given = iter([reference for _, reference in known])
    by_delay = {delay: list(islice(given, len(clips))) for delay in grid.delays}
    jobs = [
        job
        for model in grid.variants
        for delay in grid.delays
        for job in jobs_for(model, clips, delay, by_delay[delay])
    ]
    ours = results(jobs, records, runner, done)
    heard: dict[Cell, list[Result]] = {}
    for job, result in zip([*asked, *jobs], [*(result for result, _ in known), *ours], strict=True):
        heard.setdefault((job.model.name, job.delay_ms), []).append(result)
    return heard
