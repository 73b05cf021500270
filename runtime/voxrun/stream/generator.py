"""Audio embeddings to tokens: the prompt, then one token for each position (contract step 9).

Look-ahead changes the speed, not the tokens: most tokens are [STREAMING_PAD], so several positions are
computed in one pass as if they were. A token is accepted only if all tokens before it were guessed right;
the positions after a wrong guess are computed again.
"""

from voxrun.device import mx
from voxrun.model.voxtral import VoxtralRealtime

from .sampling import Sampler
from .schedule import Schedule
from .tokenizer import Tokenizer

FIRST_GUESS = 4
"""Positions in the first pass after text: of 2 to 6 the fastest on tiny's recordings, where each further one
costs 0.2 to 0.3 of the first."""
MOST_ROWS = 16
"""Positions in one pass, at most."""

Picked = tuple[int, mx.array | None]
"""A token, and the logits [vocabulary] that it was picked from if they are kept."""


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
    ) -> None:
        """`most_rows` of 1 is plain decoding, without look-ahead."""
        self._model, self._tokenizer, self._sampler = model, tokenizer, sampler
        self._prompt = schedule.prompt(tokenizer)
        self._gains = model.gains(schedule.n_delay)
        self._caches = model.decoder_caches()
        self._live, self._most_rows, self._keep_logits = live, most_rows, keep_logits
        self._waiting: list[mx.array] = []  # embeddings until the prompt is complete
        self._input: int | None = None  # the next position's token; None before the prompt is decoded
        self._rows = 1  # positions to try in the next pass
        self._run = 0  # pads in a row
        self.n_tokens = 0
        """Tokens so far."""
        self.n_passes = 0
        """Passes of the decoder so far."""
        self.ended = False
        """Whether an end-of-stream token ended the transcript; a live session goes on (contract step 9)."""

    def feed(self, block: mx.array, limit: int | None = None) -> list[Picked]:
        """Embeddings [1, n, dim] -> their tokens; `limit` is the total number of tokens of the stream."""
        picked: list[Picked] = []
        if self._input is None:
            self._waiting.append(block)
            length = len(self._prompt)
            if sum(part.shape[1] for part in self._waiting) < length:
                return picked
            block = mx.concatenate(self._waiting, axis=1)
            self._waiting.clear()
            picked += self._pass(self._prompt, block[:, :length], rows=1)
            block = block[:, length:]
        assert self._input is not None
        while block.shape[1] and not self.ended and self.n_tokens != limit:
            rows = min(self._rows, block.shape[1])
            if limit is not None:
                rows = min(rows, limit - self.n_tokens)
            guesses = [self._tokenizer.pad] * (rows - 1)
            new = self._pass([self._input, *guesses], block[:, :rows], rows)
            block = block[:, len(new) :]
            picked += new
        return picked

    def _pass(self, tokens: list[int], audio: mx.array, rows: int) -> list[Picked]:
        """Run the decoder once; return the tokens of the last `rows` positions up to the first wrong one."""
        self.n_passes += 1
        hidden = self._model.decode(mx.array(tokens), audio, self._gains, self._caches)
        logits = self._model.language_model.logits(hidden[:, -rows:])[0]
        kept: list[Picked] = []
        for id, row in zip(self._sampler.pick(logits, self.n_tokens, self._run), logits, strict=True):
            self._accept(id)
            kept.append((id, row if self._keep_logits else None))
            if id != self._tokenizer.pad:  # or an end-of-stream token: the run of pads is over
                break
        for cache in self._caches:
            cache.rewind(rows - len(kept))
        self._rows = self._next_rows()
        return kept

    def _accept(self, token: int) -> None:
        ends = token == self._tokenizer.eos
        self.n_tokens += 1
        self.ended = ends and not self._live
        self._run = self._run + 1 if token == self._tokenizer.pad else 0
        self._input = self._tokenizer.pad if ends else token

    def _next_rows(self) -> int:
        """After [STREAMING_WORD] text follows, so none is guessed; pads come in runs, so guesses double."""
        if self._input == self._tokenizer.word:
            return 1
        wanted = 2 * self._rows if self._input == self._tokenizer.pad else FIRST_GUESS
        return min(wanted, self._most_rows)
