"""Turns from the model's own silence, and cuts by the client: which words belong together.

No second model listens for speech: where the model writes no words, there is silence. A turn begins when its
first word is written. It ends when for long enough no word has ended and the sound has been quiet; in noise,
when the longest word would have ended, too: the model marks the ends of words, not their starts.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from .results import LONGEST_WORD, Token, Word
from .tokenizer import Tokenizer
from .words import WordGrouper

NEAR = 0.001
"""Seconds: times that differ by less are equal; a change of the sampling rate rounds to whole samples."""
SENTENCE_ENDS = (".", "?", "!", "\u3002", "\uff1f", "\uff01")


@dataclass(frozen=True)
class Pause:
    """How long a silence ends a turn, in seconds; a turn never ends before its last word is final."""

    after_word: float
    after_sentence: float
    """Instead, if the last word ends with a full stop, a question or an exclamation mark."""


@dataclass(frozen=True)
class Started:
    """Speech began, at these seconds; its first word comes next."""

    at: float


@dataclass(frozen=True)
class Said:
    """A text token and the text that it completes."""

    text: str
    token: Token


@dataclass(frozen=True)
class Spoken:
    """A word is final; its text was told before."""

    word: Word


@dataclass(frozen=True)
class Stopped:
    """A turn ended: all its words are told."""

    at: float
    """Where its last word ended, in seconds."""
    until: float
    """The end of the silence that was heard after it."""


@dataclass(frozen=True)
class Passed:
    """All words before the oldest cut are told."""


Event = Started | Said | Spoken | Stopped | Passed


class Turns:
    """Follows the tokens of one stream. A word belongs to the side of a cut on which it ends."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        pause: Pause | None = None,
        quiet_since: Callable[[float], float] = lambda at: at,
    ) -> None:
        """Without a pause, turns do not end by themselves; it may be changed at any time.

        `quiet_since`: of `voxrun.stream.levels.Levels`; without it, the sound is never quiet.
        """
        self.pause, self._quiet_since = pause, quiet_since
        self._tokenizer, self._words = tokenizer, WordGrouper(tokenizer)
        self._cuts: deque[float] = deque()
        self._speaking = False
        self._last = Word("", 0.0, 0.0)

    def cut(self, at: float) -> None:
        """Words that end after these seconds of audio belong to what follows.

        Must not be before an earlier cut, nor before audio that the model has heard.
        """
        self._cuts.append(at)

    def feed(self, tokens: Iterable[Token]) -> Iterator[Event]:
        """What these tokens, one for each position, tell."""
        for token in tokens:
            text, words = self._words.feed(token)
            if self._tokenizer.is_text(token.id):
                yield from self._said(Said(text, token), words)
            else:
                yield from self._spoken(words)
                yield from self._pass(token.end if self._words.end is None else self._words.end)
                yield from self._stop_if_silent(token.end)

    def flushed(self, at: float) -> Iterator[Event]:
        """The stream was flushed when it had these seconds of audio: all their words are told."""
        yield from self._spoken(self._words.close())
        yield from self._pass(at + 2 * NEAR)
        yield from self._stop(at)

    def _said(self, said: Said, words: list[Word]) -> Iterator[Event]:
        end = words[-1].end if words else self._words.end
        assert end is not None  # it is writing a word
        yield from self._pass(end)
        if not self._speaking:
            self._speaking = True
            yield Started(max(self._last.end, end - LONGEST_WORD))
        yield said
        yield from self._spoken(words)

    def _spoken(self, words: list[Word]) -> Iterator[Event]:
        for self._last in words:
            yield Spoken(self._last)

    def _pass(self, end: float) -> Iterator[Event]:
        """All words that come now end at these seconds or later."""
        while self._cuts and self._cuts[0] + NEAR < end:
            self._cuts.popleft()
            self._speaking = False
            yield Passed()

    def _stop_if_silent(self, at: float) -> Iterator[Event]:
        quiet_since = self._quiet_since(at)
        if self.pause is None or self._words.end is not None:
            return
        ended = self._last.text.rstrip().endswith(SENTENCE_ENDS)
        pause = (self.pause.after_sentence if ended else self.pause.after_word) - NEAR
        silent_since = max(quiet_since, self._last.end)
        if at - silent_since >= pause or at - self._last.end >= pause + LONGEST_WORD:
            yield from self._stop(at)

    def _stop(self, at: float) -> Iterator[Event]:
        """The turn is over, if there is one that no cut will end."""
        if self.pause is not None and self._speaking and not self._cuts:
            self._speaking = False
            yield Stopped(self._last.end, at)
