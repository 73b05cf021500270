"""Text as pieces that no line or cue may split: words, or their smallest parts in scripts without spaces."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from voxrun.stream.results import Word

from .columns import width

CLOSING, OPENING = ("Pe", "Pf"), ("Ps", "Pi")
ALSO_CLOSING, ALSO_OPENING = "!?:;.,…%؟،؛।", "¿¡"


@dataclass(frozen=True)
class Piece:
    """Text that stays on one line."""

    text: str
    """Without spaces around it."""
    start: float
    """Seconds."""
    end: float
    spaced: bool = True
    """Whether a space stands before it, if it does not begin a line."""
    seam: bool = True
    """Whether the model, or a space, ended a word before it."""

    @cached_property
    def width(self) -> int:
        """Columns."""
        return width(self.text)


def joined(pieces: Sequence[Piece]) -> str:
    """The text of pieces on one line."""
    return "".join(" " * (piece.spaced and index > 0) + piece.text for index, piece in enumerate(pieces))


def plain(words: Sequence[Word]) -> str:
    """The words' text on one line."""
    return " ".join("".join(word.text for word in words).split())


def whole_words(pieces: Sequence[Piece]) -> list[Piece]:
    """The words of the model again, without the breaks that its script allows inside them."""
    return [whole(group) for group in word_groups(pieces)]


def word_groups(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The pieces of each word of the model."""
    groups: list[list[Piece]] = []
    for piece in pieces:
        if piece.seam or not groups:
            groups.append([])
        groups[-1].append(piece)
    return groups


def whole(group: Sequence[Piece]) -> Piece:
    """The pieces of a word as one."""
    return replace(group[0], text="".join(piece.text for piece in group), end=group[-1].end)


def pieces(words: Sequence[Word]) -> list[Piece]:
    """The pieces of these words, in order; joined, they are the words' text on one line."""
    text, owners = _flat(words)
    seams = {i for i in range(1, len(text)) if owners[i] != owners[i - 1] or text[i - 1] == " "}
    bounds = [0, *sorted(_cuts(text, seams)), len(text)] if text else []
    times = _times(text, owners, words)
    found = []
    for start, stop in pairwise(bounds):
        spaced = start > 0 and text[start - 1] == " "
        part = text[start:stop].rstrip(" ")
        begin, end = times[start][0], times[start + len(part) - 1][1]
        found.append(Piece(part, begin, end, spaced, start == 0 or start in seams))
    return found


def cut_points(words: Sequence[Word]) -> list[int]:
    """Before which of these words, by their index, a line or cue may begin; the others continue a word."""
    text, owners = _flat(words)
    first = {owners[i]: i for i in reversed(range(len(text))) if text[i] != " "}
    cuts = _cuts(text, set(first.values()))
    return sorted(index for index, start in first.items() if start in cuts)


def _flat(words: Sequence[Word]) -> tuple[str, list[int]]:
    """The words' text on one line, and for each of its characters the index of its word."""
    characters: list[str] = []
    owners: list[int] = []
    for index, word in enumerate(words):
        for character in word.text:
            blank = character.isspace()
            if blank and (not characters or characters[-1] == " "):
                continue
            characters.append(" " if blank else character)
            owners.append(index)
    if characters and characters[-1] == " ":
        characters.pop()
    return "".join(characters), owners[: len(characters)]


def _times(text: str, owners: list[int], words: Sequence[Word]) -> list[tuple[float, float]]:
    """Start and end of each character: a word's time, divided evenly among its characters."""
    sizes, found = [0] * len(words), []
    for character, owner in zip(text, owners, strict=True):
        sizes[owner] += character != " "
    seen = [0] * len(words)
    for character, owner in zip(text, owners, strict=True):
        word, size = words[owner], max(sizes[owner], 1)
        length = max(word.end - word.start, 0.0)
        first, seen[owner] = seen[owner], seen[owner] + (character != " ")
        found.append((word.start + length * first / size, word.start + length * seen[owner] / size))
    return found


def _cuts(text: str, seams: set[int]) -> set[int]:
    """Where a piece may begin: after spaces, and where the script of the text allows it."""
    found = {i + 1 for i, character in enumerate(text) if character == " "}
    if not text.isascii():
        from .unicode import ANYWHERE, BETWEEN_WORDS  # not needed for most text, and slow to import

        found |= {match.start() for match in ANYWHERE.finditer(text)} - {0, len(text)}
        found |= {match.start() for match in BETWEEN_WORDS.finditer(text)} & seams
    return {cut for cut in found if not _belongs_together(text, cut)}


def _belongs_together(text: str, cut: int) -> bool:
    """Whether punctuation between spaces belongs to the word on the other side: `« oui »`, `quoi ?`."""
    if text[cut - 1] != " ":
        return False
    after, before = text[cut:].split(" ", 1)[0], text[: cut - 1].rsplit(" ", 1)[-1]
    return (_is_punctuation(after) and _is(after[0], CLOSING, ALSO_CLOSING)) or (
        _is_punctuation(before) and _is(before[-1], OPENING, ALSO_OPENING)
    )


def _is_punctuation(text: str) -> bool:
    return all(unicodedata.category(character).startswith("P") for character in text)


def _is(character: str, categories: tuple[str, ...], others: str) -> bool:
    return unicodedata.category(character) in categories or character in others
