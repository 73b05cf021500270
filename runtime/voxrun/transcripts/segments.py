"""Words to segments, each for one subtitle, cut at pauses and at the ends of sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from voxrun.stream.results import Result, Word

MOST_CHARACTERS = 84
"""Two lines of a subtitle."""
SHORTEST, MOST_SECONDS = 0.08, 7.0
PAUSE = 1.2
"""Seconds from the end of one word to the end of the next: the model does not mark the starts of words."""
SETTLED = 0.5
"""Seconds after a pause in which a word that was spoken before its end may still arrive."""
FULL_SENTENCE = 20
"""Characters; a shorter text that ends with a full stop is more likely an abbreviation."""
SENTENCE_ENDS, WIDE_SENTENCE_ENDS = (".", "!", "?", "…"), ("。", "！", "？")  # noqa: RUF001
CLAUSE_ENDS = (",", ";", ":", "，", "、", "；", "：")  # noqa: RUF001
CLOSING = "\"'”’»)]」』"  # noqa: RUF001


@dataclass(frozen=True)
class Segment:
    """Words that belong together."""

    words: tuple[Word, ...]

    @property
    def start(self) -> float:
        """Seconds."""
        return self.words[0].start

    @property
    def end(self) -> float:
        """Seconds; always after the start, as players require."""
        return max(self.words[-1].end, self.start + SHORTEST)

    @property
    def text(self) -> str:
        """The text on one line."""
        return plain(self.words)


def plain(words: Sequence[Word]) -> str:
    """The words' text on one line."""
    return " ".join("".join(word.text for word in words).split())


class Segmenter:
    """Segments of a stream, each as soon as it is final; only the words of one segment are held."""

    def __init__(self) -> None:
        self._words: list[Word] = []

    @property
    def open(self) -> str:
        """The text of the segment that is not final yet."""
        return plain(self._words)

    def feed(self, result: Result) -> list[Segment]:
        """The segments that became final with this result."""
        final: list[Segment] = []
        for word in result.words:
            final += self._before(word)
            self._words.append(word)
            if _ends_sentence(plain(self._words)):
                final += self._cut(len(self._words))
        if result.tokens and not result.partial:
            final += self._after(result.tokens[-1].end)
        return final

    def finish(self) -> list[Segment]:
        """The last segment."""
        return self._cut(len(self._words))

    def _before(self, word: Word) -> list[Segment]:
        """The segments that end before this word."""
        if self._words and word.end - self._words[-1].end > PAUSE:
            return self._cut(len(self._words))
        final: list[Segment] = []
        while self._words and self._is_too_much([*self._words, word]):
            final += self._cut(_best_cut(self._words, word))
        return final

    def _after(self, now: float) -> list[Segment]:
        """The segment that a long pause has ended: no later word can belong to it."""
        if self._words and now - self._words[-1].end > PAUSE + SETTLED:
            return self._cut(len(self._words))
        return []

    def _is_too_much(self, words: list[Word]) -> bool:
        return len(plain(words)) > MOST_CHARACTERS or words[-1].end - words[0].start > MOST_SECONDS

    def _cut(self, n: int) -> list[Segment]:
        words, self._words = tuple(self._words[:n]), self._words[n:]
        return [Segment(words)] if plain(words) else []


def _ends_sentence(text: str) -> bool:
    text = text.rstrip(CLOSING)
    return text.endswith(WIDE_SENTENCE_ENDS) or (text.endswith(SENTENCE_ENDS) and len(text) >= FULL_SENTENCE)


def _best_cut(words: list[Word], following: Word) -> int:
    """How many words to cut off: up to the end of a clause in the latter half, else up to its widest gap."""
    after = [*words[1:], following]

    def fitness(n: int) -> tuple[bool, float, int]:
        gap = after[n - 1].start - words[n - 1].end
        return plain(words[:n]).endswith(CLAUSE_ENDS), round(gap, 3), n

    return max(range(len(words) // 2 + 1, len(words) + 1), key=fitness)
