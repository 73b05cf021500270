"""Word and character error rates over normalised text."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

DIGITS = dict(
    zip(
        "0123456789",
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        strict=True,
    )
)


@dataclass(frozen=True)
class ErrorRates:
    """Errors over one or many clips; rates in per cent of the reference."""

    words: int
    substitutions: int
    deletions: int
    insertions: int
    wer: float
    cer: float


def normalise(text: str) -> str:
    """Lower case, no punctuation but apostrophes in words, each digit a word.

    Models write "Press 5." where a transcript says "press five"; digits are spoken one by one in our clips.
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    text = "".join(map(_spoken, text))
    text = re.sub(r"(?<!\w)'|'(?!\w)", " ", text)
    return " ".join(text.split())


def _spoken(character: str) -> str:
    """What remains of a character: marks belong to their letters, joiners and soft hyphens to nothing."""
    if character in DIGITS:
        return f" {DIGITS[character]} "
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return character if category[0] in "LMN" or character == "'" else " "


def error_rates(references: Sequence[str], hypotheses: Sequence[str]) -> ErrorRates:
    """Rates of all pairs together; both sides are normalised here."""
    said = [normalise(text) for text in references]
    heard = [normalise(text) for text in hypotheses]
    words = jiwer.process_words(said, heard)
    return ErrorRates(
        words=words.hits + words.substitutions + words.deletions,
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        wer=round(100 * words.wer, 2),
        cer=round(100 * jiwer.process_characters(said, heard).cer, 2),
    )
