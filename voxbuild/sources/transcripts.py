"""Word and character error rates over normalised text."""

import re
import unicodedata

DIGITS = dict(
    zip(
        "0123456789",
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        strict=True,
    )
)


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
