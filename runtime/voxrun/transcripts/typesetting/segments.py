"""Words to segments, each for one subtitle, cut at pauses and at the ends of sentences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from voxrun.stream.results import LONGEST_WORD, Result, Word

from .layout import PLAIN, Layout
from .lines import fits
from .phrases import ends_phrase, ends_sentence, follows, leads
from .pieces import Piece, cut_points, pieces, plain

SHORTEST, MOST_SECONDS = 0.08, 7.0
"""Of a segment, in seconds; 7 s is the longest subtitle of the Netflix Timed Text Style Guide."""
PAUSE = 1.0
"""Seconds from the end of one word to the end of the next, without the time that the latter needs: the model
does not mark the starts of words."""
LETTER, SIGN = 0.06, 0.18
"""Seconds that it takes to say a letter of an alphabet, and a digit or a sign that stands for a syllable."""
LONGEST_NEEDED = 1.5
"""Seconds: in live audio, a pause is known this much later than if there were no long words."""
SETTLED = 0.5
"""Seconds after a pause in which a word that was spoken before its end may still arrive."""


@dataclass(frozen=True)
class Segment:
    """Words that belong together."""

    words: tuple[Word, ...]
    after: float = 0.0
    """Where the segment before it ended, in seconds."""

    @property
    def start(self) -> float:
        """Seconds; never before the end of the segment before it."""
        return max(self.words[0].start, self.after)

    @property
    def end(self) -> float:
        """Seconds; always after the start, as players require."""
        return max(self.words[-1].end, self.start + SHORTEST)

    @property
    def text(self) -> str:
        """The text on one line."""
        return plain(self.words)

    @cached_property
    def pieces(self) -> list[Piece]:
        """What lines and cues are made of; joined, they are the text."""
        return pieces(self.words)


class Segmenter:
    """Segments of a stream, each as soon as it is final; only the words of one segment are held."""

    def __init__(self, layout: Layout = PLAIN) -> None:
        """The layout says how long a segment may be: as long as what fits in a subtitle."""
        self._layout = layout
        self._words: list[Word] = []
        self._last_end = self._now = 0.0

    @property
    def open(self) -> str:
        """The text of the segment that is not final yet."""
        return plain(self._words)

    @property
    def next_start(self) -> tuple[float, bool]:
        """When the next segment starts, in seconds, and whether that is final; if not, no earlier."""
        if self.open:
            return max(self._words[0].start, self._last_end), True
        return max(self._now - SETTLED - LONGEST_WORD, self._last_end), False

    def feed(self, result: Result) -> list[Segment]:
        """The segments that became final with this result."""
        final: list[Segment] = []
        for word in result.words:
            final += self._take(word)
            if ends_sentence(self.open):
                final += self._cut(len(self._words))
        if result.tokens and not result.partial:
            self._now = result.tokens[-1].end
            final += self._after(self._now)
        return final

    def finish(self) -> list[Segment]:
        """The last segment."""
        return self._cut(len(self._words))

    def _take(self, word: Word) -> list[Segment]:
        """Add a word; the segments that end before it."""
        final: list[Segment] = []
        if self._words and _silence(self._words[-1], word) > PAUSE:
            final += self._cut(len(self._words))
        while self._words and self._is_too_much([*self._words, word]):
            cut = self._best_cut(word)
            if not cut:
                run, self._words = [*self._words, word], []
                return final + self._take_divided(run)
            final += self._cut(cut)
        if not fits([word], self._layout):
            return final + self._take_divided([word])
        if self.open or word.text.strip():  # a segment starts with its first word that shows
            self._words.append(word)
        return final

    def _take_divided(self, words: list[Word]) -> list[Segment]:
        """Add what the model did not divide and no subtitle can hold, in parts."""
        return [segment for part in _divided(words) for segment in self._take(part)]

    def _after(self, now: float) -> list[Segment]:
        """The segment that a long pause has ended: no later word can belong to it."""
        if self._words and now - self._words[-1].end > PAUSE + LONGEST_NEEDED + SETTLED:
            return self._cut(len(self._words))
        return []

    def _is_too_much(self, words: list[Word]) -> bool:
        return _is_too_long(words) or not fits(words, self._layout)

    def _best_cut(self, following: Word) -> int:
        """How many words to cut off, up to the end of a clause or the widest gap in the latter half.

        Not between words that belong together, if there is another place. 0: there is no place at all.
        """
        words, after = self._words, [*self._words[1:], following]
        allowed = cut_points([*words, following])
        if not allowed and _is_too_long([*words, following]):
            return len(words)  # nobody speaks so long a word: memory must stay bounded

        def fitness(n: int) -> tuple[bool, bool, bool, float, int]:
            gap = min(after[n - 1].start - words[n - 1].end, _silence(words[n - 1], after[n - 1]))
            last, first = words[n - 1].text.strip(), after[n - 1].text.strip()
            apart = leads(last) or follows(first, last)
            return n > len(words) // 2, ends_phrase(last), not apart, round(gap, 3), n

        return max(allowed, key=fitness, default=0)

    def _cut(self, n: int) -> list[Segment]:
        words, self._words = tuple(self._words[:n]), self._words[n:]
        if not plain(words):
            return []
        segment = Segment(words, self._last_end)
        self._last_end = segment.end
        return [segment]


def _divided(words: list[Word]) -> list[Word]:
    """Words that have no space between them as the smallest parts that their script allows."""
    parts = [Word(" " * part.spaced + part.text, part.start, part.end) for part in pieces(words)]
    blank = words[0].text[: len(words[0].text) - len(words[0].text.lstrip())]
    tokens = tuple(token for word in words for token in word.tokens)  # which part they belong to is not known
    return [replace(parts[0], text=blank + parts[0].text, tokens=tokens), *parts[1:]]


def _silence(before: Word, word: Word) -> float:
    """Seconds between two words, as far as the time that the latter's letters need can tell."""
    needed = sum(SIGN if _is_sign(letter) else LETTER for letter in word.text if letter.isalnum())
    return word.end - before.end - min(needed, LONGEST_NEEDED)


def _is_sign(letter: str) -> bool:
    return letter.isdigit() or letter >= "\u2e80"  # from here on: Chinese, Japanese, Korean


def _is_too_long(words: Sequence[Word]) -> bool:
    return words[-1].end - words[0].start > MOST_SECONDS
