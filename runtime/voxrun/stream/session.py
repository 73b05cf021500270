"""One stream of audio, from samples to text, for files, pipes and microphones alike."""

from dataclasses import replace

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.device import mx
from voxrun.errors import VoxrunError
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.parallel import one_blas_thread

from .clock import FrameClock
from .generator import MOST_ROWS, Generator, Picked
from .listener import BLOCK_POSITIONS, Listener
from .results import Result, Token, Word
from .sampling import Sampler, Unstick, likeliest
from .schedule import Schedule
from .tokenizer import Tokenizer
from .words import WordGrouper


class Session:
    """One stream of audio: `feed` it, `flush` it in a pause, `finish` it; each call returns a `Result`.

    How the audio is divided among calls never changes the tokens. Memory does not grow with the length of
    the stream. A session does no input or output.
    """

    def __init__(
        self,
        model: VoxtralRealtime,
        tokenizer: Tokenizer,
        *,
        delay_ms: float | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        live: bool = False,
        alternatives: int = 0,
        unstick: bool = False,
        look_ahead: int = MOST_ROWS,
    ) -> None:
        """Begin a stream; usually called as `Transcriber.session`.

        `delay_ms`: how long the model listens before it writes: 80 to 1200 in steps of 80, or 2400; None is
        the model's default, 480 upstream (contract step 10).
        `temperature`: 0 picks the likeliest token, otherwise tokens are sampled, reproducibly by `seed`.
        `live`: an end-of-stream token is a pause; otherwise it ends the transcript (contract step 9).
        `alternatives`: how many of the likeliest tokens to report at each position.
        `unstick`: wake a model that has fallen silent over speech, see `voxrun.stream.sampling.Unstick`.
        `look_ahead`: positions decoded in one pass at most; it changes the speed, never the tokens.

        Raises VoxrunError for a value outside these ranges.
        """
        if look_ahead < 1 or alternatives < 0:
            raise VoxrunError(
                "look_ahead must be at least 1, which turns it off, and alternatives at least 0"
            )
        self._tokenizer, self._alternatives = tokenizer, alternatives
        self._schedule = schedule = Schedule.for_delay(model.config.audio, tokenizer, delay_ms)
        sampler = Sampler(tokenizer.pad, temperature, seed, Unstick() if unstick else None)
        self._listener = Listener(model)
        self._generator = Generator(
            model,
            tokenizer,
            schedule,
            sampler,
            live=live,
            most_rows=look_ahead,
            keep_logits=alternatives > 0,
        )
        self._clock = FrameClock(model.config.audio.sampling_rate, schedule.samples_per_position)
        self._words = WordGrouper(tokenizer)
        self._limit: int | None = None  # tokens in all, once the end is known
        self._flushed = True  # nothing was fed since the last flush
        self._rate = model.config.audio.sampling_rate
        self._hear(np.zeros(schedule.left_samples, np.float32))  # shorter than the prompt: no token yet

    def feed(self, samples: FloatArray) -> Result:
        """Take mono floating samples [n] in -1..1 at `Transcriber.rate`, n of any size; return new text.

        A sample that is not finite counts as silence: it would silence the whole rest of the stream.
        Raises VoxrunError for anything but a one-dimensional floating NumPy array, and after `finish`.
        """
        if not isinstance(samples, np.ndarray):
            raise VoxrunError(f"a session takes NumPy arrays, not {type(samples).__name__}")
        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise VoxrunError(f"a session takes mono floats, not {samples.ndim}-d {samples.dtype}")
        self._must_go_on()
        self._clock.hear(len(samples))
        self._flushed = self._flushed and not len(samples)
        with np.errstate(over="ignore"):  # what exceeds float32 becomes infinite: silence too
            floats = samples.astype(np.float32)
        return self._hear(np.nan_to_num(floats, posinf=0.0, neginf=0.0))

    def flush(self) -> Result:
        """Return the text that is still held back by the delay, by feeding silence; the stream may go on.

        Without new samples since the last flush it does nothing. Raises VoxrunError after `finish`.
        """
        self._must_go_on()
        if self._flushed:
            return Result()
        self._flushed = True
        silence = self._schedule.right_samples(self._clock.fed)
        self._clock.insert_silence(silence)
        result = self._hear(np.zeros(silence, np.float32))
        return _ended(result, "", self._words.close())

    def finish(self) -> Result:
        """End the stream and return the last words; a second call does nothing."""
        if self._limit is not None:
            return Result()
        fed = self._clock.fed
        self._limit = self._schedule.n_tokens(fed)
        silence = self._schedule.right_samples(fed) + self._listener.look_ahead
        return _ended(self._hear(np.zeros(silence, np.float32)), *self._words.finish())

    @property
    def seconds(self) -> float:
        """Seconds of audio fed so far."""
        return self._clock.audio / self._rate

    @property
    def n_tokens(self) -> int:
        """Tokens generated so far, control tokens included: one for each position of 80 ms."""
        return self._generator.n_tokens

    @property
    def n_passes(self) -> int:
        """Passes of the decoder so far; with look-ahead they are fewer than tokens."""
        return self._generator.n_passes

    def _must_go_on(self) -> None:
        if self._limit is not None:
            raise VoxrunError("the session is finished; start another")

    def _hear(self, samples: FloatArray) -> Result:
        """Process samples of the stream, the caller's or silence, a block at a time."""
        tokens: list[Token] = []
        words: list[Word] = []
        text = ""
        step = BLOCK_POSITIONS * self._schedule.samples_per_position
        for start in range(0, len(samples), step):
            if self._generator.ended:
                break
            with one_blas_thread(), np.errstate(all="ignore"):  # a damaged model gives no warnings
                new = self._new_tokens(samples[start : start + step])
            for token in new:
                piece, final = self._words.feed(token)
                tokens.append(token)
                words += final
                text += piece
        return Result(text, tuple(words), self._words.partial, tuple(tokens))

    def _new_tokens(self, samples: FloatArray) -> list[Token]:
        first = self._generator.n_tokens
        picked: list[Picked] = []
        for block in self._listener.feed(samples):
            picked += self._generator.feed(block, self._limit)
        return [self._token(first + i, id, logits) for i, (id, logits) in enumerate(picked)]

    def _token(self, index: int, id: int, logits: mx.array | None) -> Token:
        competing = () if logits is None else likeliest(logits, self._alternatives, self._tokenizer)
        return Token(id, self._clock.end_of(index), competing)


def _ended(result: Result, text: str, words: list[Word]) -> Result:
    """The result with these last texts and words, and no unfinished word."""
    return replace(result, text=result.text + text, words=(*result.words, *words), partial="")
