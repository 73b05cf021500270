"""What is measured of each variant of `search.py`, clip by clip, and the figures over clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import bootstrap
from bootstrap import Interval
from runs import ROOT
from search_project import OURS, SETS, SOURCE, Project, Trial

from voxbuild.artifact.manifest import Manifest
from voxbuild.recipes.book import Book, read_book
from voxbuild.recipes.origins.base import Clip
from voxbuild.sources.clips import read_clips
from voxbuild.validate.error_rates import error_rates
from voxbuild.validate.measure import Heard, Nearness, compared, listen, scores
from voxbuild.validate.report import over_all

CHECKPOINT = ROOT / "tiny/checkpoint"


@dataclass(frozen=True)
class Texts:
    """Transcripts of the clips that validate."""

    clips: Sequence[Clip]
    heard: Mapping[str, Heard]

    @cached_property
    def errors(self) -> list[int]:
        """Wrong words of each clip."""
        rates = [error_rates([clip.text], [self.heard[clip.name].text]) for clip in self.clips]
        return [each.substitutions + each.deletions + each.insertions for each in rates]

    @cached_property
    def words(self) -> list[int]:
        """Words of each clip."""
        return [error_rates([clip.text], [""]).words for clip in self.clips]

    @property
    def wer(self) -> float:
        """In per cent."""
        return 100 * sum(self.errors) / sum(self.words)

    @property
    def wer_interval(self) -> Interval:
        """95 %, over clips."""
        low, high = bootstrap.ratio(self.errors, self.words)
        return 100 * low, 100 * high

    def agreement(self, other: "Texts") -> float:
        """Share of the clips with the other's text."""
        same = [self.heard[clip.name].text == other.heard[clip.name].text for clip in self.clips]
        return sum(same) / len(same)


@dataclass(frozen=True)
class Measured:
    """A variant."""

    trial: Trial
    near: Sequence[Nearness]
    """Of each clip that validates."""
    texts: Texts
    calibration_kl: float | None
    """Mean KL over the committed clips that calibrate, if it is calibrated."""
    nbytes: int
    """Of all weight files."""
    digest: str
    """The sha256 of each file of tensors."""
    seconds: float

    @property
    def fidelity(self) -> dict[str, float]:
        """As in a validation.json."""
        return over_all(self.near)

    @property
    def kl(self) -> list[float]:
        """Sum over the positions of each clip."""
        return [float(clip.kl.sum()) for clip in self.near]


def ratio(one: Measured, other: Measured) -> float:
    """Of the KL means."""
    return sum(one.kl) / sum(other.kl)


def ratio_interval(one: Measured, other: Measured) -> Interval:
    """95 %, paired over clips."""
    return bootstrap.ratio(one.kl, other.kl)


@dataclass
class Judge:
    """The unquantized model, and what it hears; measures variants against it."""

    project: Project
    _heard: dict[str, dict[str, Heard]] = field(default_factory=dict)
    _logits: dict[str, list[list[Any]]] = field(default_factory=dict)

    @cached_property
    def clips(self) -> list[Clip]:
        """The clips that validate."""
        return [clip for name in SETS for clip in self.members(name)]

    @cached_property
    def texts(self) -> Texts:
        """What the unquantized model hears in them."""
        return Texts(self.clips, {n: heard for name in SETS for n, heard in self.heard(name).items()})

    @cached_property
    def _book(self) -> Book:
        return read_book(self.project.folder / "recipes")

    def members(self, name: str) -> list[Clip]:
        """The clips of a set."""
        return read_clips(self._book.clips[name], self.project.folder / "recipes/clips")

    def heard(self, name: str) -> dict[str, Heard]:
        """What the unquantized model hears in a clip set."""
        if name not in self._heard:
            self._heard[name] = listen(CHECKPOINT, self.members(name), lambda: None)
        return self._heard[name]

    def near(self, folder: Path, *names: str) -> list[Nearness]:
        """How close a model is to the unquantized one in each clip of these sets."""
        return [near for name in names for near in self._near(folder, name)]

    def _near(self, folder: Path, name: str) -> list[Nearness]:
        clips, heard = self.members(name), self.heard(name)
        if name not in self._logits:
            self._logits[name] = [list(blocks) for blocks in scores(CHECKPOINT, clips, heard)]
        pairs = zip(self._logits[name], scores(folder, clips, heard), strict=True)
        return [compared(SOURCE, theirs, ours) for theirs, ours in pairs]

    def measured(self, trial: Trial, with_texts: bool = True) -> Measured:
        """Build and measure a variant. Raises BuildError."""
        seconds = self.project.build(trial)
        folder = self.project.artifact(trial)
        manifest = Manifest.load(folder)
        return Measured(
            trial,
            self.near(folder, *SETS),
            Texts(self.clips, listen(folder, self.clips, lambda: None) if with_texts else {}),
            over_all(self.near(folder, OURS))["kl_mean"] if trial.audio and with_texts else None,
            manifest.weight_bytes,
            " ".join(e.sha256 for n, e in manifest.weight_files.items() if n.endswith(".safetensors")),
            seconds,
        )
