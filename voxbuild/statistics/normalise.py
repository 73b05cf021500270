"""What is compared of two texts, language by language, as in published error rates.

The library is loaded when a text is normalised: it takes a tenth of a second.
"""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any, Literal

from .spoken_digits import spoken_digits

LIBRARY = "whisper-normalizer"
ENGLISH = {"en", "eng"}
WITHOUT_SPACES = {
    *("zh", "zho", "chi", "cmn", "yue", "ja", "jpn"),
    *("th", "tha", "lo", "lao", "my", "mya", "bur", "km", "khm"),
}
"""Languages that are written without spaces between words; their error rate is that of characters."""
OPTIONAL_MARKS = {"ar", "ara", "fa", "fas", "per", "ur", "urd", "he", "heb"}
"""Languages whose vowel marks are rarely written, and say nothing about what was heard."""
TATWEEL = "\u0640"
"""Arabic's sign that stretches a word in print."""


@dataclass(frozen=True)
class Normaliser:
    """A text in the form in which it is compared: normaliser(text) -> units separated by single spaces."""

    name: str
    """With the library's version."""
    unit: Literal["word", "character"]
    """What the error rate counts."""
    clean: Callable[[str], str] = field(repr=False, compare=False)

    def __call__(self, text: str) -> str:
        """The units of a text, with one space between them; empty if nothing of it is compared."""
        visible = "".join(c for c in text if unicodedata.category(c) != "Cf")  # soft hyphens, joiners
        units = " ".join(self.clean(visible).split())
        return units if any(map(str.isalnum, units)) else ""  # the English one leaves a full stop of "..."


@cache
def normaliser_for(language: str, digits: bool = False) -> Normaliser:
    """The normaliser of texts in a language, given by its code (`en`, `pt-BR`, `zh_cn`, `jpn`).

    `digits`: digits are read one by one, so each is a word.
    English: OpenAI's normaliser of Whisper, which writes number words as digits and spells as in America.
    Others: Whisper's basic one, by character where no spaces are written; marks are part of the letters.
    """
    code = language.lower().replace("_", "-").split("-")[0]
    if digits:
        return Normaliser("voxbuild spoken digits 1", "word", spoken_digits)
    if code in ENGLISH:
        return Normaliser(_named("English"), "word", _english)
    if code in WITHOUT_SPACES:
        return Normaliser(_named("basic, by character"), "character", _by_character)
    if code in OPTIONAL_MARKS:
        return Normaliser(_named("basic, without vowel marks"), "word", _without_marks)
    return Normaliser(_named("basic, with marks"), "word", _basic)


def _named(how: str) -> str:
    return f"{LIBRARY} {version(LIBRARY)}: {how}"


def _english(text: str) -> str:
    return str(_library("english", "EnglishTextNormalizer")(text))


def _basic(text: str) -> str:
    return str(_library("basic", "BasicTextNormalizer", preserve_marks=True)(text))


def _by_character(text: str) -> str:
    return str(_library("basic", "BasicTextNormalizer", preserve_marks=True, split_letters=True)(text))


def _without_marks(text: str) -> str:
    composed = unicodedata.normalize("NFKC", text).replace(TATWEEL, "")
    return _basic("".join(c for c in composed if unicodedata.category(c) != "Mn"))


@cache
def _library(module: str, kind: str, **options: Any) -> Callable[[str], str]:
    from importlib import import_module

    normaliser: Callable[[str], str] = getattr(import_module(f"whisper_normalizer.{module}"), kind)(**options)
    return normaliser
