"""The figures of a model over clips, against the source's over the same, each with its 95 % interval."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from voxbuild.recipes.origins.base import Clip
from voxbuild.statistics.errors import Errors, count_errors, distance
from voxbuild.statistics.estimate import Estimate
from voxbuild.statistics.intervals import difference, mean, quantile, rate, share
from voxbuild.statistics.normalise import Normaliser

from .jobs import Flags, Floats, Result

RATE, FIDELITY = 2, 6
"""Decimals of rates (in per cent) and of all else, in JSON."""


@dataclass(frozen=True)
class Scored:
    """A model's result for a clip, compared with the true text and with the source's result."""

    speaker: Hashable | None
    ours: Errors
    theirs: Errors
    """The source's."""
    same_text: bool
    """To the letter."""
    apart: int
    """Characters in which both texts differ."""
    characters: int
    """Of the longer text."""
    kl: Floats | None
    """See Result; None, like `same`, if the model was not compared with the source's scores."""
    same: Flags | None


def scored(
    clips: Sequence[Clip], results: Sequence[Result], references: Sequence[Result], normaliser: Normaliser
) -> list[Scored]:
    """Each clip's result beside the source's; all in the same order."""
    return [
        Scored(
            clip.speaker,
            count_errors(clip.text, ours.text, normaliser),
            count_errors(clip.text, theirs.text, normaliser),
            ours.text == theirs.text,
            distance(ours.text, theirs.text),
            max(len(ours.text), len(theirs.text)),
            ours.kl,
            ours.same,
        )
        for clip, ours, theirs in zip(clips, results, references, strict=True)
    ]


@dataclass(frozen=True)
class Fidelity:
    """How near a model's next-token distributions are to the source's."""

    positions: int
    top1_agreement: Estimate
    """Share of positions with the same likeliest token."""
    kl_mean: Estimate
    """In nats."""
    kl_p99: Estimate

    def as_json(self) -> dict[str, Any]:
        """Each figure under its name."""
        near = {"top1_agreement": self.top1_agreement, "kl_mean": self.kl_mean, "kl_p99": self.kl_p99}
        return {"positions": self.positions} | {k: v.as_json(FIDELITY) for k, v in near.items()}


@dataclass(frozen=True)
class Figures:
    """A model over clips."""

    clips: int
    speakers: int | None
    """None: not known of every clip."""
    errors: Errors
    wer: Estimate
    """In per cent, as the next ones."""
    cer: Estimate
    unquantized_wer: Estimate
    unquantized_cer: Estimate
    wer_increase: Estimate
    """Above the source's, paired by clip, in points."""
    cer_increase: Estimate
    text_agreement: Estimate
    """Share of clips with the source's text, to the letter."""
    character_agreement: Estimate
    """Share of characters of the texts that are the same."""
    fidelity: Fidelity | None

    def as_json(self) -> dict[str, Any]:
        """The figures, as in validation.json and evaluation.json.

        An estimate is `{"value", "low", "high"}`, or null if it is not finite.
        """
        rates = {
            "wer": self.wer,
            "cer": self.cer,
            "unquantized_wer": self.unquantized_wer,
            "unquantized_cer": self.unquantized_cer,
            "wer_increase": self.wer_increase,
            "cer_increase": self.cer_increase,
        }
        agreement = {"text_agreement": self.text_agreement, "character_agreement": self.character_agreement}
        return {
            "clips": self.clips,
            "speakers": self.speakers,
            "words": self.errors.words,
            "substitutions": self.errors.substitutions,
            "deletions": self.errors.deletions,
            "insertions": self.errors.insertions,
            **{name: value.as_json(RATE) for name, value in rates.items()},
            **{name: value.as_json(FIDELITY) for name, value in agreement.items()},
            "fidelity": self.fidelity.as_json() if self.fidelity else None,
        }


def figures(
    clips: Sequence[Clip], results: Sequence[Result], references: Sequence[Result], normaliser: Normaliser
) -> Figures:
    """The figures over clips of one language; `pooled` takes `scored` clips of several."""
    return pooled(scored(clips, results, references, normaliser))


def pooled(clips: Sequence[Scored]) -> Figures:
    """The figures over scored clips."""
    speakers = [clip.speaker for clip in clips]
    words, characters = [c.ours.words for c in clips], [c.ours.characters for c in clips]
    wrong, before = [c.ours.word_errors for c in clips], [c.theirs.word_errors for c in clips]
    misspelt = [c.ours.character_errors for c in clips]
    misspelt_before = [c.theirs.character_errors for c in clips]
    return Figures(
        clips=len(clips),
        speakers=None if None in speakers else len(set(speakers)),
        errors=reduce(add, (clip.ours for clip in clips), Errors()),
        wer=rate(wrong, words, speakers) * 100,
        cer=rate(misspelt, characters, speakers) * 100,
        unquantized_wer=rate(before, words, speakers) * 100,
        unquantized_cer=rate(misspelt_before, characters, speakers) * 100,
        wer_increase=difference(wrong, before, words, speakers) * 100,
        cer_increase=difference(misspelt, misspelt_before, characters, speakers) * 100,
        text_agreement=share([not c.same_text for c in clips], [1] * len(clips), speakers).complement,
        character_agreement=share(
            [c.apart for c in clips], [c.characters for c in clips], speakers
        ).complement,
        fidelity=fidelity(clips, speakers),
    )


def fidelity(
    clips: Sequence[Scored] | Sequence[Result], speakers: Sequence[Hashable] | None = None
) -> Fidelity | None:
    """How near a model is to the source over clips; None if one was not compared."""
    kl = [clip.kl for clip in clips if clip.kl is not None]
    same = [clip.same for clip in clips if clip.same is not None]
    if len(kl) < len(clips) or len(same) < len(clips):
        return None
    positions = [len(each) for each in kl]
    sums = [float(np.sum(each, dtype=np.float64)) for each in kl]
    return Fidelity(
        sum(positions),
        share([int((~each).sum()) for each in same], positions, speakers).complement,
        mean(sums, positions, speakers),
        quantile([each.astype(np.float64) for each in kl], 0.99, speakers),
    )
