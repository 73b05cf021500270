"""Words to lines: as few as possible, balanced, broken where a reader expects it.

The rules are those of the Netflix Timed Text Style Guide (general requirements) and of the BBC Subtitle
Guidelines: one line if the text fits on it; else a break after punctuation, or before a conjunction or
preposition. If there is a choice, the lower line is the longer one: it hides less of the picture.
"""

from collections.abc import Sequence
from functools import cache
from math import ceil, inf

from voxrun.stream.results import Word

from .columns import line_length, width
from .layout import Layout
from .phrases import PARTICLES, ends_phrase, follows, leads
from .pieces import Piece, joined, pieces, plain, whole, word_groups

GOOD, ORDINARY, APART, INSIDE_WORD = 60, 120, 240, 500
"""What a break costs: before a word that leads a phrase or after a Japanese particle, anywhere, between words
that belong together, inside a word of the model where its script allows it. A break after punctuation costs
nothing; lines that differ by d columns cost d²/2: to keep words together, they differ by 19 columns."""
LOWER_IS_LONGER = 2
"""Columns that a line has more than the one above it, if one can choose."""


def fits(words: Sequence[Word], layout: Layout) -> bool:
    """Whether they fit in one cue; a piece alone always does, for it cannot be divided.

    A piece that is longer than a line counts as the lines that a player will make of it. If words fit, any
    part of them does.
    """
    text = plain(words)
    length = _length(text, layout)
    if width(text) <= length:
        return True
    parts = pieces(words)
    return len(parts) == 1 or _rows(_whole_words(parts, length), length) <= layout.most_lines


def lines(parts: Sequence[Piece], layout: Layout) -> list[Sequence[Piece]]:
    """The lines of a cue: each within the length, but for a piece that alone is longer."""
    length = _length(joined(parts), layout)
    words = _whole_words(parts, length)
    if _rows(words, length) <= layout.most_lines:
        parts = words
    n = len(_filled(parts, length))
    return _balanced(parts, length, n) if n > 1 else [parts]


def _length(text: str, layout: Layout) -> int:
    """Columns that a line of this text may have."""
    return line_length(text) if layout.line_length is None else layout.line_length


def _whole_words(parts: Sequence[Piece], length: int) -> list[Piece]:
    """The words of the model, but for those that are longer than a line: these in their pieces."""
    found: list[Piece] = []
    for group in word_groups(parts):
        word = whole(group)
        found += [word] if word.width <= length else group
    return found


def _rows(parts: Sequence[Piece], length: int) -> int:
    """How many lines a player shows."""
    return sum(ceil(_width(line) / length) for line in _filled(parts, length))


def _filled(parts: Sequence[Piece], length: int) -> list[list[Piece]]:
    """Lines filled one after the other, which are as few as possible."""
    filled: list[list[Piece]] = []
    used = 0
    for piece in parts:
        used += piece.spaced + piece.width
        if not filled or used > length:
            filled.append([])
            used = piece.width
        filled[-1].append(piece)
    return filled


def _balanced(parts: Sequence[Piece], length: int, n: int) -> list[Sequence[Piece]]:
    """The best way to make n lines."""
    mean = _width(parts) / n

    def cost(start: int, stop: int, row: int) -> float:
        size = _width(parts[start:stop])
        if size > length and stop - start > 1:
            return inf
        wanted = mean + LOWER_IS_LONGER * (row - (n - 1) / 2)
        return (size - wanted) ** 2 + (_break_cost(parts, stop) if stop < len(parts) else 0)

    @cache
    def best(start: int, row: int) -> tuple[float, tuple[int, ...]]:
        """The cost of all lines from this piece and row on, and where they end."""
        if row == n - 1:
            return cost(start, len(parts), row), (len(parts),)
        choices = []
        for stop in range(start + 1, len(parts) - (n - row - 2)):
            this = cost(start, stop, row)
            if this == inf:
                break
            rest, stops = best(stop, row + 1)
            choices.append((this + rest, (stop, *stops)))
        return min(choices, default=(inf, ()))

    stops = best(0, 0)[1]
    return [parts[start:stop] for start, stop in zip((0, *stops), stops, strict=False)]


def _break_cost(parts: Sequence[Piece], at: int) -> int:
    before, after = parts[at - 1], parts[at]
    if ends_phrase(before.text):
        return 0
    if not after.seam:
        return INSIDE_WORD
    if leads(before.text) or follows(after.text, before.text):
        return APART
    return GOOD if leads(after.text) or before.text in PARTICLES else ORDINARY


def _width(parts: Sequence[Piece]) -> int:
    """Columns of pieces on one line."""
    return sum(piece.width + (piece.spaced and index > 0) for index, piece in enumerate(parts))
