"""The words of texts in which digits are read one by one, as in telephone prompts."""

import re
import unicodedata

DIGITS = dict(
    zip(
        "0123456789",
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"],
        strict=True,
    )
)


def spoken_digits(text: str) -> str:
    """Lower case, no punctuation except apostrophes in words, each digit as a word.

    Models write "Press 5." for "press five".
    """
    text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    text = "".join(map(_spoken, text))
    text = re.sub(r"(?<!\w)'|'(?!\w)", " ", text)
    return " ".join(text.split())


def _spoken(character: str) -> str:
    """The normalised form of a character: marks are kept, joiners and soft hyphens removed."""
    if character in DIGITS:
        return f" {DIGITS[character]} "
    category = unicodedata.category(character)
    if category == "Cf":
        return ""
    return character if category[0] in "LMN" or character == "'" else " "
