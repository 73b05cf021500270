"""What a session returns, as plain data: tokens and words with their times, and a recording's transcript."""

from collections.abc import Sequence
from dataclasses import dataclass, field

LONGEST_WORD = 0.8
"""Seconds. The model marks where a word ends, not where it starts: after a pause, its assumed length."""


@dataclass(frozen=True)
class Alternative:
    """A token that was possible at a position, with the model's probability for it, 0..1."""

    id: int
    text: str
    """Empty for control tokens; part of a character shows as U+FFFD."""
    probability: float


@dataclass(frozen=True)
class Token:
    """The token of one position, text or control (contract step 11)."""

    id: int
    end: float
    """Seconds of the caller's audio at which the token's speech ended: (k - left padding - delay) * 80 ms for
    the k-th token of the sequence."""
    alternatives: tuple[Alternative, ...] = ()
    """The likeliest tokens at this position, best first, if the session was asked for them."""


@dataclass(frozen=True)
class Word:
    """A word group: the text between two [STREAMING_WORD] tokens."""

    text: str
    """As the model wrote it: most words begin with a space."""
    start: float
    """Seconds. The model marks only ends: this is the end of the word before, at most 0.8 s before `end`."""
    end: float
    """Seconds, in steps of 80 ms."""
    tokens: tuple[Token, ...] = ()
    """Its text tokens."""


@dataclass(frozen=True)
class Result:
    """What one `feed`, `flush` or `finish` of a session added; false if it added nothing."""

    text: str = ""
    """New text: the texts of successive results, joined, are the transcript."""
    words: tuple[Word, ...] = ()
    """Words that became final."""
    partial: str = ""
    """The text so far of the word after those, which is not final."""
    tokens: tuple[Token, ...] = ()
    """A token for each position that was decoded, control tokens included."""
    draft: str = ""
    """What the draft decoder has written, if the session has one, about audio that is not settled yet: words
    whose last token is later than the last of all results so far. It replaces the draft before it."""

    def __bool__(self) -> bool:
        return bool(self.text or self.words or self.tokens)

    def __str__(self) -> str:
        return self.text


def joined(results: Sequence[Result]) -> Result:
    """Successive results of a session as one."""
    last = results[-1] if results else Result()
    return Result(
        "".join(result.text for result in results),
        tuple(word for result in results for word in result.words),
        last.partial,
        tuple(token for result in results for token in result.tokens),
        last.draft,
    )


@dataclass
class Transcript:
    """The whole transcript of one recording."""

    text: str = ""
    """Without the space that the first word begins with."""
    words: list[Word] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    """Ids of all generated tokens, control tokens included: one for each position after the prompt."""
    seconds: float = 0.0
    """Length of the audio."""

    @classmethod
    def of(cls, results: Sequence[Result], seconds: float) -> "Transcript":
        """Join the results of one session; `seconds` is the length of its audio."""
        return cls(
            text="".join(result.text for result in results).strip(),
            words=[word for result in results for word in result.words],
            tokens=[token.id for result in results for token in result.tokens],
            seconds=seconds,
        )
