"""What a session hears, as plain data: tokens on the frame clock, words, and all of a recording."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Alternative:
    """A token that was possible at a position, and how likely the model thought it."""

    id: int
    text: str
    """Empty for control tokens; a broken character shows as U+FFFD."""
    probability: float


@dataclass(frozen=True)
class Token:
    """One position's token, control tokens too."""

    id: int
    end: float
    """Seconds of the caller's audio at which what it says was over: (k - left pad - delay) * 80 ms for the
    k-th token of the sequence."""
    alternatives: tuple[Alternative, ...] = ()
    """The likeliest tokens at this position, best first, if the session was asked for them."""


@dataclass(frozen=True)
class Word:
    """A word group: what the model wrote between two [STREAMING_WORD]s."""

    text: str
    """As it was written: most begin with a space."""
    start: float
    """Seconds; the model marks ends only, so this is the end before it, or a word's greatest length ago."""
    end: float
    tokens: tuple[Token, ...] = ()
    """The text tokens it was written with."""


@dataclass(frozen=True)
class Result:
    """What one feed, flush or finish brought out; empty (and false) most of the time."""

    text: str = ""
    """New text: the texts of successive results, joined, are the transcript."""
    words: tuple[Word, ...] = ()
    """Words that became final."""
    partial: str = ""
    """What is written so far of the word after those."""
    tokens: tuple[Token, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.text or self.words or self.tokens)

    def __str__(self) -> str:
        return self.text


@dataclass
class Transcript:
    """Everything that was heard of one recording."""

    text: str = ""
    words: list[Word] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    """Every generated token, control tokens too: one for each position after the prompt."""
    seconds: float = 0.0
    """Length of the audio."""

    @classmethod
    def of(cls, results: Sequence[Result], seconds: float) -> "Transcript":
        """The results of one session, put together."""
        return cls(
            text="".join(result.text for result in results),
            words=[word for result in results for word in result.words],
            tokens=[token.id for result in results for token in result.tokens],
            seconds=seconds,
        )
