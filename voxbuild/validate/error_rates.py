"""Word and character error rates."""

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from voxbuild.statistics.spoken_digits import spoken_digits


@dataclass(frozen=True)
class ErrorRates:
    """Errors over one or more clips: numbers of words, and rates in per cent of the reference."""

    words: int
    substitutions: int
    deletions: int
    insertions: int
    wer: float
    cer: float


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRates:
    """The error rates over all pairs of normalised texts."""
    said, heard = list(map(spoken_digits, references)), list(map(spoken_digits, hypotheses))
    words = jiwer.process_words(said, heard)
    return ErrorRates(
        words=words.hits + words.substitutions + words.deletions,
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        wer=round(100 * words.wer, 2),
        cer=round(100 * jiwer.process_characters(said, heard).cer, 2),
    )
