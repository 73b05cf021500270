"""Audio embeddings to tokens: the prompt, then one token for each position (contract step 9).

Look-ahead changes the speed, not the tokens: most tokens are [STREAMING_PAD], so several positions are
computed in one pass as if they were. A token is accepted only if all tokens before it were guessed right;
the positions after a wrong guess are computed again.

Nor do tokens depend on the other rows in a pass, of the same stream or of others. Products of one row and of
many are rounded differently: where the best two tokens are closer than that, the position is computed again
in a pass of its own, and that token counts. One gap remains: keys and values of earlier positions are kept as
they were computed, see docs/architecture.md (Sessions together).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from voxrun.device import mx
from voxrun.model.cache import KVCache
from voxrun.model.functions import joined
from voxrun.model.voxtral import DecoderRows, VoxtralRealtime

from .sampling import Best, Sampler, TwoBest
from .schedule import Schedule
from .tokenizer import Tokenizer
from .tuning import tuning

Picked = tuple[int, Any]
"""A token, and NumPy's logits [vocabulary] that it was picked from, or None if they are not kept."""


@dataclass(frozen=True)
class Step:
    """What a generator wants computed in a pass: rows, the last `picks` of which give tokens."""

    rows: DecoderRows
    picks: int
    number: int
    """How many tokens there are before the first that it gives."""


@dataclass(frozen=True)
class Submitted:
    """A step whose pass was submitted, and is not read."""

    step: Step
    best: TwoBest


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
        most_rows: int | None = None,
        keep_logits: bool = False,
        begun: Begun | None = None,
    ) -> None:
        """`most_rows`: positions in a pass, at most; None is as many as the device's `Tuning` says, 1 is
        plain decoding, without look-ahead. `begun`: the first positions are done.
        """
        begun = begun or Begun(model.decoder_caches(), schedule.prompt(tokenizer), 0)
        self._tokenizer, self._sampler = tokenizer, sampler
        self._gains = model.gains(schedule.n_delay)
        self._caches = begun.caches
        self._look_ahead = [min(rows, most_rows or rows) for rows in tuning().look_ahead]
        self.keeps_logits = keep_logits
        self.live = live
        """Whether an end-of-stream token is only a pause."""
        self._inputs = begun.inputs
        """The tokens that are known of the next positions: the prompt, then the last token."""
        self._audio: list[Any] = []  # embeddings [1, n, dim] of the next positions
        self.waiting = 0
        """Positions of audio that were heard, and are not decoded."""
        self._level = 0  # of `Tuning.look_ahead`, for the next pass
        self._run = 0  # pads in a row
        self.alone = False
        """Whether the next position is computed in a pass of its own."""
        self.ahead: Submitted | None = None
        """The next step, if it was submitted before the token of the one before was read."""
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
        return self.waiting >= len(self._inputs) and not self.over

    def hear(self, block: Any) -> None:
        """Embeddings [1, n, dim] of the next positions."""
        self._audio.append(block)
        self.waiting += block.shape[1]

    def step(self, most_rows: int) -> Step:
        """The next step, if `ready`: the prompt, or the next position and up to `most_rows` - 1 guesses."""
        guesses = 0
        if len(self._inputs) == 1 and not self.alone:
            guesses = min(self._look_ahead[self._level], most_rows, self.waiting) - 1
            if self.limit is not None:
                guesses = min(guesses, self.limit - self.n_tokens - 1)
        tokens = self._inputs + [self._tokenizer.pad] * guesses
        return self._step(tokens, 0, picks=1 + guesses)

    def step_after(self, ids: Any) -> Step | None:
        """The step after one of a single row, whose token, MLX's [1], is not read yet.

        None where it may not be wanted: without audio, at the limit, and with look-ahead, which waits for the
        token to guess others. Only an end-of-stream token that ends the transcript makes it useless.
        """
        wanted = self.waiting > 1 and (self.limit is None or self.n_tokens + 1 < self.limit)
        if not wanted or self._look_ahead[-1] > 1 or self._sampler.looks_back:
            return None
        ids = mx.where(ids == self._tokenizer.eos, self._tokenizer.pad, ids).astype(mx.int32)
        return self._step(ids, 1, picks=1)

    def _step(self, tokens: Any, first: int, picks: int) -> Step:
        audio = self._next_audio()[:, first : first + len(tokens)]
        return Step(DecoderRows(tokens, audio, self._gains, self._caches), picks, self.n_tokens + first)

    def scores(self, step: Step, logits: Any) -> Any:
        """Of a step's logits [picks, vocabulary]: the token of a row is the one with the highest score."""
        return self._sampler.scores(logits, step.number, self._run)

    def take(self, step: Step, best: Best) -> list[Picked]:
        """The step's rows up to the first wrong guess, or up to the first that is not sure, as tokens."""
        kept: list[Picked] = []
        for row, (id, certain) in enumerate(zip(best.ids, best.sure, strict=True)):
            self.alone = not certain
            if self.alone:
                break
            kept.append((id, None if best.logits is None else best.logits[row]))
            if id != self._tokenizer.pad:  # or an end-of-stream token: the run of pads is over
                break
        for cache in self._caches:
            cache.rewind(step.picks - len(kept))
        self._consume(len(step.rows.tokens) - step.picks + len(kept))
        self._inputs = self._inputs[-1:]
        for id, _ in kept:
            self._accept(id)
        if kept:
            self._level = self._next_level()
        self.n_passes += 1
        return kept

    def _next_audio(self) -> Any:
        self._audio = [joined(self._audio)]
        return self._audio[0]

    def _consume(self, n: int) -> None:
        left = self._next_audio()[:, n:]
        self._audio = [left] if left.shape[1] else []
        self.waiting -= n
        self.n_positions += n

    def _accept(self, token: int) -> None:
        ends = token == self._tokenizer.eos
        self.n_tokens += 1
        self.ended = ends and not self.live
        self._run = self._run + 1 if token == self._tokenizer.pad else 0
        self._inputs = [self._tokenizer.pad if ends else token]

    def _next_level(self) -> int:
        """After [STREAMING_WORD] text follows, so none is guessed; pads come in runs, so guesses grow."""
        if self._inputs == [self._tokenizer.word]:
            return 0
        level = self._level + 1 if self._inputs == [self._tokenizer.pad] else 1
        return min(level, len(self._look_ahead) - 1)
