"""Errors of a transcript, counted by words and by characters."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache, reduce
from operator import add

from .normalise import Normaliser


@dataclass(frozen=True)
class Errors:
    """Errors in one or more clips. Words are characters where the normaliser's unit is the character."""

    words: int = 0
    """Of the true text."""
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    characters: int = 0
    """Of the true text, with the spaces between words."""
    character_errors: int = 0

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(*(mine + theirs for mine, theirs in zip(astuple(self), astuple(other), strict=True)))

    @property
    def word_errors(self) -> int:
        """Of all three kinds."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float:
        """Word error rate in per cent; raises ZeroDivisionError without words."""
        return 100 * self.word_errors / self.words

    @property
    def cer(self) -> float:
        """Character error rate in per cent; raises ZeroDivisionError without words."""
        return 100 * self.character_errors / self.characters


@lru_cache(2**14)
def count_errors(true: str, heard: str, normaliser: Normaliser) -> Errors:
    """The errors in a transcript of one clip, with the fewest edits that explain it."""
    import jiwer

    said, written = normaliser(true), normaliser(heard)
    words = jiwer.process_words(said, written)
    if normaliser.unit == "character":
        said, written = said.replace(" ", ""), written.replace(" ", "")
    characters = jiwer.process_characters(said, written)
    return Errors(
        words.hits + words.substitutions + words.deletions,
        words.substitutions,
        words.deletions,
        words.insertions,
        len(said),
        characters.substitutions + characters.deletions + characters.insertions,
    )


def errors_over(true: Sequence[str], heard: Sequence[str], normaliser: Normaliser) -> Errors:
    """The sum of the errors in transcripts of several clips, in the same order."""
    each = (count_errors(text, written, normaliser) for text, written in zip(true, heard, strict=True))
    return reduce(add, each, Errors())


def distance(one: str, other: str) -> int:
    """The fewest characters to substitute, delete or insert that make one text the other."""
    from rapidfuzz.distance import Levenshtein

    return int(Levenshtein.distance(one, other))
