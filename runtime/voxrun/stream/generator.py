"""Audio embeddings to tokens: the prompt, then one token for each position (contract step 9).

Look-ahead changes the speed, not the tokens: most tokens are [STREAMING_PAD], so several positions are
computed in one pass as if they were. A token is accepted only if all tokens before it were guessed right;
the positions after a wrong guess are computed again.

Nor does the company of other rows in a pass change a token, a stream's own or other streams': products of one
and of many rows are rounded differently, so where the best two tokens are closer than that, the position is
computed again alone, and that counts. Left are the keys and values of earlier positions, which are kept as
they were computed: their rounding is far below that margin.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from voxrun.model.cache import KVCache
from voxrun.model.functions import joined
from voxrun.model.voxtral import DecoderRows, VoxtralRealtime

from .sampling import Sampler
from .schedule import Schedule
from .tokenizer import Tokenizer

FIRST_GUESS = 4
"""Positions in the first pass after text: of 2 to 6 the fastest on tiny's recordings, where each further one
costs 0.2 to 0.3 of the first."""
MOST_ROWS = 16
"""Positions in one pass, at most."""

Picked = tuple[int, Any]
"""A token, and the logits [vocabulary] that it was picked from, or None if they are not kept."""


@dataclass(frozen=True)
class Step:
    """What a generator wants computed in a pass: rows, the last `picks` of which give tokens."""

    rows: DecoderRows
    picks: int


class Begun(NamedTuple):
    """A stream of which earlier positions are decoded."""

    caches: list[KVCache]
    """With these positions."""
    inputs: list[int]
    """The tokens that are known of the next positions."""
    n_tokens: int
    """Tokens so far, the inputs' included."""


class Generator:
    """Decodes one stream."""

    def __init__(
        self,
        model: VoxtralRealtime,
        tokenizer: Tokenizer,
        schedule: Schedule,
        sampler: Sampler,
        *,
        live: bool,
        most_rows: int = MOST_ROWS,
        keep_logits: bool = False,
        begun: Begun | None = None,
    ) -> None:
        """`most_rows` of 1 is plain decoding, without look-ahead; `begun`: the first positions are done."""
        begun = begun or Begun(model.decoder_caches(), schedule.prompt(tokenizer), 0)
        self._tokenizer, self._sampler = tokenizer, sampler
        self._gains = model.gains(schedule.n_delay)
        self._caches = begun.caches
        self._most_rows, self._keep_logits = most_rows, keep_logits
        self.live = live
        """Whether an end-of-stream token is only a pause."""
        self._inputs = begun.inputs
        """The tokens that are known of the next positions: the prompt, then the last token."""
        self._audio: list[Any] = []  # embeddings [1, n, dim] of the next positions
        self._waiting = 0  # positions of these
        self._rows = 1  # positions to try in the next pass
        self._run = 0  # pads in a row
        self.alone = False
        """Whether the next position is computed in a pass of its own."""
        self.limit: int | None = None
        """Tokens in all, once the end is known."""
        self.n_positions = 0
        """Positions decoded so far."""
        self.n_tokens = begun.n_tokens
        """Tokens so far."""
        self.n_passes = 0
        """Passes of the decoder so far."""
        self.ended = False
        """Whether an end-of-stream token ended the transcript; a live session goes on (contract step 9)."""

    @property
    def n_inputs(self) -> int:
        """Rows of the next step without guesses: those of the prompt, or one."""
        return len(self._inputs)

    @property
    def scale(self) -> float:
        """What a difference of logits is multiplied by in scores."""
        return self._sampler.scale

    @property
    def over(self) -> bool:
        """Whether there are no more tokens, whatever is heard."""
        return self.ended or self.n_tokens == self.limit

    @property
    def ready(self) -> bool:
        """Whether it has a step to compute."""
        return self._waiting >= len(self._inputs) and not self.over

    def hear(self, block: Any) -> None:
        """Embeddings [1, n, dim] of the next positions."""
        self._audio.append(block)
        self._waiting += block.shape[1]

    def step(self, most_rows: int = MOST_ROWS) -> Step:
        """The next step, if `ready`: the prompt, or the next position and up to `most_rows` - 1 guesses."""
        guesses = 0
        if len(self._inputs) == 1 and not self.alone:
            guesses = min(self._rows, most_rows, self._waiting) - 1
            if self.limit is not None:
                guesses = min(guesses, self.limit - self.n_tokens - 1)
        tokens = self._inputs + [self._tokenizer.pad] * guesses
        return Step(
            DecoderRows(tokens, self._next_audio()[:, : len(tokens)], self._gains, self._caches), 1 + guesses
        )

    def scores(self, logits: Any) -> Any:
        """Of a step's logits [picks, vocabulary]: the token of a row is the one with the highest score."""
        return self._sampler.scores(logits, self.n_tokens, self._run)

    def take(self, step: Step, logits: Any, best: Sequence[int], sure: Sequence[bool]) -> list[Picked]:
        """The step's rows up to the first wrong guess, or up to the first that is not sure, as tokens."""
        kept: list[Picked] = []
        for row, (id, certain) in enumerate(zip(best, sure, strict=True)):
            self.alone = not certain
            if self.alone:
                break
            kept.append((id, logits[row] if self._keep_logits else None))
            if id != self._tokenizer.pad:  # or an end-of-stream token: the run of pads is over
                break
        for cache in self._caches:
            cache.rewind(step.picks - len(kept))
        self._consume(len(step.rows.tokens) - step.picks + len(kept))
        self._inputs = self._inputs[-1:]
        for id, _ in kept:
            self._accept(id)
        if kept:
            self._rows = self._next_rows()
        self.n_passes += 1
        return kept

    def _next_audio(self) -> Any:
        self._audio = [joined(self._audio)]
        return self._audio[0]

    def _consume(self, n: int) -> None:
        left = self._next_audio()[:, n:]
        self._audio = [left] if left.shape[1] else []
        self._waiting -= n
        self.n_positions += n

    def _accept(self, token: int) -> None:
        ends = token == self._tokenizer.eos
        self.n_tokens += 1
        self.ended = ends and not self.live
        self._run = self._run + 1 if token == self._tokenizer.pad else 0
        self._inputs = [self._tokenizer.pad if ends else token]

    def _next_rows(self) -> int:
        """After [STREAMING_WORD] text follows, so none is guessed; pads come in runs, so guesses double."""
        if self._inputs == [self._tokenizer.word]:
            return 1
        wanted = 2 * self._rows if self._inputs == [self._tokenizer.pad] else FIRST_GUESS
        return min(wanted, self._most_rows)
