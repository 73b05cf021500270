"""What is measured of each variant of `search.py`, clip by clip, and the figures over clips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from runs import ROOT
from search_project import OURS, SETS, Project, Trial

from voxbuild.artifact.manifest import Manifest
from voxbuild.evaluate.figures import Fidelity, fidelity
from voxbuild.evaluate.jobs import UNQUANTIZED, Model, Reference, Result
from voxbuild.evaluate.local import Local
from voxbuild.evaluate.models import default_delay, jobs_for
from voxbuild.evaluate.records import Records
from voxbuild.evaluate.run import references, results
from voxbuild.recipes.book import Book, read_book
from voxbuild.recipes.origins.base import Clip
from voxbuild.sources.clips import read_clips
from voxbuild.statistics.errors import count_errors
from voxbuild.statistics.estimate import Estimate
from voxbuild.statistics.intervals import mean, rate
from voxbuild.statistics.normalise import Normaliser
from voxrun.files.hashes import sha256_of

CHECKPOINT = ROOT / "tiny/checkpoint"


@dataclass(frozen=True)
class Texts:
    """Transcripts of the clips that validate."""

    clips: Sequence[Clip]
    heard: Mapping[str, Result]
    normalisers: Mapping[str, Normaliser]
    """By clip set, which a clip's name begins with."""

    @cached_property
    def errors(self) -> list[int]:
        """Wrong words of each clip."""
        return [count_errors(c.text, self.heard[c.name].text, self._how(c)).word_errors for c in self.clips]

    @cached_property
    def words(self) -> list[int]:
        """Words of each clip."""
        return [count_errors(clip.text, "", self._how(clip)).words for clip in self.clips]

    def _how(self, clip: Clip) -> Normaliser:
        return self.normalisers[clip.name.partition("/")[0]]

    @property
    def wer(self) -> Estimate:
        """In per cent."""
        return rate(self.errors, self.words) * 100

    def agreement(self, other: "Texts") -> float:
        """Share of the clips with the other's text."""
        same = [self.heard[clip.name].text == other.heard[clip.name].text for clip in self.clips]
        return sum(same) / len(same)


@dataclass(frozen=True)
class Measured:
    """A variant."""

    trial: Trial
    near: Sequence[Result]
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
    def fidelity(self) -> Fidelity:
        """As in a validation.json."""
        return near_to_source(self.near)

    @property
    def kl(self) -> list[float]:
        """Sum over the positions of each clip."""
        return [float(clip.kl.sum()) for clip in self.near]


def ratio(one: Measured, other: Measured) -> Estimate:
    """Of the KL means, paired over clips."""
    return mean(one.kl, other.kl)


def near_to_source(near: Sequence[Result]) -> Fidelity:
    """Fidelity over all positions of clips that were compared with the source."""
    found = fidelity(near)
    assert found
    return found


@dataclass
class Judge:
    """What the unquantized model hears, which variants are measured against; kept beside the project."""

    project: Project
    _known: dict[str, list[tuple[Result, Reference]]] = field(default_factory=dict)

    @cached_property
    def clips(self) -> list[Clip]:
        """The clips that validate."""
        return [clip for name in SETS for clip in self.members(name)]

    @cached_property
    def texts(self) -> Texts:
        """What the unquantized model hears in them."""
        return self._texts([result for name in SETS for result, _ in self._source_hears(name)])

    @cached_property
    def _book(self) -> Book:
        return read_book(self.project.folder / "recipes")

    @cached_property
    def _records(self) -> Records:
        return Records(self.project.folder / "heard")

    def members(self, name: str) -> list[Clip]:
        """The clips of a set."""
        return read_clips(self._book.clips[name], self.project.folder / "recipes/clips")

    def near(self, folder: Path, *names: str) -> list[Result]:
        """What a model hears in these sets, clip by clip, and how close it is to the unquantized one."""
        model = Model(folder.name, folder, Manifest.load(folder).weight_digest)
        jobs = [
            job
            for name in names
            for job in jobs_for(
                model, self.members(name), default_delay(model), [r for _, r in self._source_hears(name)]
            )
        ]
        return results(jobs, self._records, Local())

    def _source_hears(self, name: str) -> list[tuple[Result, Reference]]:
        if name not in self._known:
            model = Model(UNQUANTIZED, CHECKPOINT, sha256_of(CHECKPOINT / "consolidated.safetensors"))
            jobs = jobs_for(model, self.members(name), default_delay(model))
            self._known[name] = references(jobs, self._records, Local())
        return self._known[name]

    def _texts(self, heard: Sequence[Result]) -> Texts:
        normalisers = {name: self._book.clips[name].normaliser for name in SETS}
        return Texts(self.clips, dict(zip([c.name for c in self.clips], heard, strict=True)), normalisers)

    def measured(self, trial: Trial, with_texts: bool = True) -> Measured:
        """Build and measure a variant. Raises BuildError."""
        seconds = self.project.build(trial)
        folder = self.project.artifact(trial)
        manifest, heard = Manifest.load(folder), self.near(folder, *SETS)
        return Measured(
            trial,
            heard,
            self._texts(heard),
            near_to_source(self.near(folder, OURS)).kl_mean.value if trial.audio and with_texts else None,
            manifest.weight_bytes,
            " ".join(e.sha256 for n, e in manifest.weight_files.items() if n.endswith(".safetensors")),
            seconds,
        )
