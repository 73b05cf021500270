"""A second, faster decoder over the same audio: what it writes stands until the first one has settled it."""

from collections.abc import Iterable

from .clock import FrameClock
from .generator import Generator
from .results import Token, Word
from .words import WordGrouper


class Draft:
    """The draft of one session."""

    def __init__(self, generator: Generator, clock: FrameClock, words: WordGrouper) -> None:
        self.generator, self.clock = generator, clock
        self._words = words
        self._written: list[Word] = []  # that may not be settled yet
        self._n_tokens = 0
        self._end = 0.0  # of the last text token

    def feed(self, ids: Iterable[int]) -> None:
        """Take the generator's next tokens."""
        for id in ids:
            token = Token(id, self.clock.end_of(self._n_tokens))
            self._n_tokens += 1
            text, words = self._words.feed(token)
            self._written += words
            self._end = token.end if text else self._end

    def text(self, settled: float) -> str:
        """What is written about audio later than `settled`, in seconds."""
        self._written = [word for word in self._written if word.tokens[-1].end > settled]
        partial = self._words.partial if self._end > settled else ""
        return "".join(word.text for word in self._written) + partial

    def close(self) -> None:
        """All audio is settled."""
        self._words.close()
        self._written.clear()
