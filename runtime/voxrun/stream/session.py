"""One stream of audio, from samples to text, for files, pipes and microphones alike."""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

import numpy as np

from voxrun.arrays import Array, FloatArray, mono
from voxrun.device import mx
from voxrun.errors import VoxrunError
from voxrun.mlx_thread import check_process, computed, submit
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.parallel import one_blas_thread
from voxrun.values import number, whole

from .clock import FrameClock
from .generator import MOST_ROWS, Generator, Picked
from .listener import BLOCK_POSITIONS, Listener
from .results import Alternative, Result, Token, Word
from .sampling import Sampler, Unstick, likeliest
from .schedule import Schedule
from .tokenizer import Tokenizer
from .words import WordGrouper

Position = tuple[int, tuple[Alternative, ...]]
"""The token of a position, and the likeliest ones if they were asked for."""


class Session:
    """One stream of audio: `feed` it, `flush` it in a pause, `finish` it; each call returns a `Result`.

    How the audio is divided among calls never changes the tokens. Memory does not grow with the length of
    the stream. A session does no input or output. Its calls may come from any thread, one at a time; the
    work on the model is done in MLX's thread (`voxrun.mlx_thread`), a block at a time.

    If the model fails (out of memory), the call raises what the model raised, and all later ones VoxrunError.
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
        draft_ms: float | None = None,
        on_result: Callable[[Result], None] | None = None,
    ) -> None:
        """Begin a stream; usually called as `Transcriber.session`.

        `delay_ms`: how long the model listens before it writes: 80 to 1200 in steps of 80, or 2400; None is
        the model's default, 480 upstream (contract step 10).
        `temperature`: 0 picks the likeliest token, otherwise tokens are sampled, reproducibly by `seed`.
        `live`: an end-of-stream token is a pause; otherwise it ends the transcript (contract step 9).
        `alternatives`: how many of the likeliest tokens to report at each position.
        `unstick`: wake a model that has fallen silent over speech, see `voxrun.stream.sampling.Unstick`.
        `look_ahead`: positions decoded in one pass at most; it changes the speed, never the tokens.

        Raises VoxrunError for a value of another type or outside these ranges.
        """
        delay_ms = None if delay_ms is None else number("delay_ms", delay_ms)
        temperature, seed = number("temperature", temperature), whole("seed", seed)
        look_ahead, alternatives = whole("look_ahead", look_ahead), whole("alternatives", alternatives)
        if look_ahead < 1 or alternatives < 0:
            raise VoxrunError(
                "look_ahead must be at least 1, which turns it off, and alternatives at least 0"
            )
        self._tokenizer, self._alternatives = tokenizer, alternatives
        self._on_result, self._later = on_result, ThreadPoolExecutor(1)
        self._schedule = schedule = Schedule.for_delay(model.config.audio, tokenizer, delay_ms)
        sampler = Sampler(tokenizer.pad, temperature, seed, Unstick() if unstick else None)
        self._listener = computed(Listener, model)
        self._generator = computed(
            Generator,
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
        self._finished = False
        self._flushed = True  # nothing was fed since the last flush
        self._rate = model.config.audio.sampling_rate
        self._turn = threading.Lock()
        self._pending_samples: deque[FloatArray] = deque()
        self._computing: Future[list[Position]] | None = None
        self._pending_results: list[Result] = []
        self._n_tokens = 0
        self._failure = ""  # what the model raised
        self._hear(np.zeros(schedule.left_samples, np.float32))  # shorter than the prompt: no token yet

    def feed(self, samples: Array) -> Result:
        """Take mono samples [n] or [n, 1] at `Transcriber.rate`, n of any size; return new text.

        Floats of any width in -1..1, or integers of any width, which are divided by their full range (uint8
        is centred at 128, as in WAV). A sample that is not finite counts as silence: it would silence the
        whole rest of the stream.

        Raises AudioError for anything else, and VoxrunError after `finish`.
        """
        samples = mono(samples)
        with self._in_turn():
            self._must_go_on()
            self._clock.hear(len(samples))
            self._flushed = self._flushed and not len(samples)
            return self._hear(samples)

    def flush(self) -> Result:
        """Return the text that is still held back by the delay, by feeding silence; the stream may go on.

        Without new samples since the last flush it does nothing. Raises VoxrunError after `finish`.
        """
        with self._in_turn():
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
        with self._in_turn():
            if self._finished:
                return Result()
            silence = 0
            if self._limit is None:  # or else the first call was interrupted
                fed = self._clock.fed
                self._limit = self._schedule.n_tokens(fed)
                silence = self._schedule.right_samples(fed) + self._listener.look_ahead
            result = self._hear(np.zeros(silence, np.float32))
            self._finished = True
            return _ended(result, *self._words.finish())

    def feed_later(self, samples: Array) -> Future[Result]:
        """As `feed`, without waiting."""
        return self._later.submit(self._told, self.feed, samples)

    def flush_later(self) -> Future[Result]:
        """As `flush`, without waiting."""
        return self._later.submit(self._told, self.flush)

    def finish_later(self) -> Future[Result]:
        """As `finish`, without waiting."""
        return self._later.submit(self._told, self.finish)

    def cancel(self) -> None:
        """Drop what waits."""
        self._later.shutdown(wait=False, cancel_futures=True)

    @property
    def waiting(self) -> float:
        """Seconds of audio fed but not yet computed."""
        return 0.0

    def _told(self, work: Callable[..., Result], *args: Array) -> Result:
        result = work(*args)
        if self._on_result is not None:
            self._on_result(result)
        return result

    def __reduce__(self) -> NoReturn:
        """Raises VoxrunError: a stream is neither copied nor sent to another process."""
        raise VoxrunError("a Session cannot be sent to another process: open the model and begin it there")

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

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One thread at a time. In a forked process an error, instead of a lock that nobody releases."""
        check_process()
        with self._turn:
            if self._failure:
                raise VoxrunError(f"the session has failed ({self._failure}); start another")
            yield

    def _must_go_on(self) -> None:
        if self._limit is not None:
            raise VoxrunError("the session is finished; start another")

    def _hear(self, samples: FloatArray) -> Result:
        """Process samples of the stream, the caller's or silence, a block at a time.

        If the wait is interrupted (Ctrl-C), nothing is lost: the next call goes on where this one was left.
        """
        self._pending_samples.append(samples)
        while self._computing or self._pending_samples:
            self._computing = self._computing or submit(self._compute)
            if error := self._computing.exception():  # waits
                self._fail(error)
            positions = self._computing.result()
            self._computing = None
            self._pending_results += map(self._timed, positions)
        results, self._pending_results = self._pending_results, []
        return Result(
            "".join(result.text for result in results),
            tuple(word for result in results for word in result.words),
            self._words.partial,
            tuple(token for result in results for token in result.tokens),
        )

    def _fail(self, error: BaseException) -> NoReturn:
        """Keep why no later call can succeed, and nothing else of the stream."""
        self._failure = ": ".join(filter(None, (type(error).__name__, str(error))))
        self._computing = None
        self._pending_samples.clear()
        raise error

    def _compute(self) -> list[Position]:
        """In MLX's thread: the tokens of the next block of samples."""
        block = self._next_block()
        if self._generator.ended:
            return []
        with one_blas_thread(), np.errstate(all="ignore"):  # a damaged model gives no warnings
            picked: list[Picked] = []
            for embeddings in self._listener.feed(block):
                picked += self._generator.feed(embeddings, self._limit)
            return [(id, self._competing(logits)) for id, logits in picked]

    def _competing(self, logits: mx.array | None) -> tuple[Alternative, ...]:
        return () if logits is None else likeliest(logits, self._alternatives, self._tokenizer)

    def _next_block(self) -> FloatArray:
        size = BLOCK_POSITIONS * self._schedule.samples_per_position
        samples = self._pending_samples.popleft()
        if len(samples) > size:
            self._pending_samples.appendleft(samples[size:])
        return samples[:size]

    def _timed(self, position: Position) -> Result:
        """A position's token with its time, and the text and the word that it completes."""
        id, competing = position
        token = Token(id, self._clock.end_of(self._n_tokens), competing)
        self._n_tokens += 1
        text, words = self._words.feed(token)
        return Result(text, tuple(words), tokens=(token,))


def _ended(result: Result, text: str, words: list[Word]) -> Result:
    """The result with these last texts and words, and no unfinished word."""
    return replace(result, text=result.text + text, words=(*result.words, *words), partial="")
