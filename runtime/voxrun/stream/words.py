"""Tokens to words with times: a word begins at [STREAMING_WORD] and ends at the next, or in a pause."""

from collections.abc import Iterable

from .results import LONGEST_WORD, Token, Word
from .tokenizer import TextDecoder, Tokenizer

MOST_TOKENS = 32
"""Tokens at which a word is cut: a model that marks no words must not fill the memory."""
PAUSE_POSITIONS = 4
"""Positions without text after which a word is final: a word's tokens follow one another without gaps."""


class WordGrouper:
    """Collects the tokens of one word at a time."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = TextDecoder(tokenizer)
        self._tokens: list[Token] = []
        self._text = ""
        self._end: float | None = None  # of the word being written; None before its first token
        self._last_end = 0.0
        self._silent = 0

    @property
    def partial(self) -> str:
        """The text so far of a word that is not final."""
        return self._text

    @property
    def end(self) -> float | None:
        """Where the word that is being written ended, in seconds; None if there is none."""
        return self._end

    def feed(self, token: Token) -> tuple[str, list[Word]]:
        """The text that is complete with this token, and the word that it ends."""
        if self._tokenizer.is_text(token.id):
            self._silent = 0
            self._tokens.append(token)
            self._end = token.end if self._end is None else self._end
            text = self._decoder.feed(token.id)
            self._text += text
            return text, self.close() if len(self._tokens) >= MOST_TOKENS else []
        self._silent += 1
        final: list[Word] = []
        if token.id in (self._tokenizer.word, self._tokenizer.eos) or self._silent >= PAUSE_POSITIONS:
            final = self.close()
        if token.id == self._tokenizer.word:
            self._end = token.end
        return "", final

    def finish(self) -> tuple[str, list[Word]]:
        """The replacement of an incomplete character, and the last word."""
        text = self._decoder.finish()
        self._text += text
        return text, self.close()

    def close(self) -> list[Word]:
        """End the current word, unless it has no text yet."""
        if not self._text:
            self._end = self._end if self._tokens else None  # a mark without tokens is dropped
            return []
        end = self._last_end if self._end is None else self._end
        word = Word(self._text, max(self._last_end, end - LONGEST_WORD), end, tuple(self._tokens))
        self._tokens, self._text, self._end, self._last_end = [], "", None, end
        return [word]


def text_of(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """The text of a stream's tokens, control tokens included."""
    decoder = TextDecoder(tokenizer)
    return "".join(decoder.feed(id) for id in ids if tokenizer.is_text(id)) + decoder.finish()
