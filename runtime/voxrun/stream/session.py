"""One stream of audio, from samples to text, for files, pipes and microphones alike."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import NoReturn

import numpy as np

from voxrun.arrays import Array, FloatArray, mono
from voxrun.errors import VoxrunError
from voxrun.mlx_thread import check_process, is_current
from voxrun.model.voxtral import VoxtralRealtime
from voxrun.values import number, whole

from .calls import Call
from .clock import FrameClock
from .computation import Computation, State
from .draft import Draft
from .generator import Generator
from .listener import Listener
from .mel import look_beyond
from .results import Result, joined
from .sampling import Sampler, Unstick
from .schedule import Schedule
from .scheduler import SCHEDULER
from .tokenizer import Tokenizer
from .tuning import tuning
from .words import WordGrouper


class Session:
    """One stream of audio: `feed` it, `flush` it in a pause, `finish` it; each call returns a `Result`.

    How the audio is divided among calls never changes the tokens, nor do other sessions, with which it is
    computed together (`voxrun.stream.scheduler`). Memory does not grow with the length of the stream. A
    session does no input or output. Its calls may come from any thread; they are done in order, in MLX's
    thread (`voxrun.mlx_thread`), a bounded pass at a time.

    `feed_later`, `flush_later` and `finish_later` queue the same work and return at once, with a future.

    If the model fails (out of memory), the call raises what the model raised, and all later ones VoxrunError.
    """

    def __init__(
        self,
        model: VoxtralRealtime,
        tokenizer: Tokenizer,
        *,
        delay_ms: float | None = None,
        draft_ms: float | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        live: bool = False,
        alternatives: int = 0,
        unstick: bool = False,
        look_ahead: int | None = None,
        on_result: Callable[[Result], None] | None = None,
    ) -> None:
        """Begin a stream; usually called as `Transcriber.session`.

        `delay_ms`: how long the model listens before it writes: 80 to 1200 in steps of 80, or 2400; None is
        the model's default, 480 upstream (contract step 10).
        `draft_ms`: a shorter delay, for `Result.draft`: a second decoder writes it from the same audio.
        `temperature`: 0 picks the likeliest token, otherwise tokens are sampled, reproducibly by `seed`.
        `live`: an end-of-stream token is a pause; otherwise it ends the transcript (contract step 9).
        `alternatives`: how many of the likeliest tokens to report at each position.
        `unstick`: wake a model that has fallen silent over speech, see `voxrun.stream.sampling.Unstick`.
        `look_ahead`: positions decoded in one pass at most; it changes the speed, never the tokens. None is
        the device's, see `voxrun.stream.tuning`.
        `on_result`: called with each part of a result as soon as a pass has made it, in MLX's thread, which
        waits for it; the result of the call holds all parts. What it raises ends the session.

        Raises VoxrunError for a value of another type or outside these ranges, and in a fork of a process
        that had opened a model.
        """
        check_process()
        tuning()  # a fault in it is told now
        delay_ms = None if delay_ms is None else number("delay_ms", delay_ms)
        temperature, seed = number("temperature", temperature), whole("seed", seed)
        look_ahead = None if look_ahead is None else whole("look_ahead", look_ahead)
        alternatives = whole("alternatives", alternatives)
        if (look_ahead is not None and look_ahead < 1) or alternatives < 0:
            raise VoxrunError(
                "look_ahead must be at least 1, which turns it off, and alternatives at least 0"
            )
        if on_result is not None and not callable(on_result):
            raise VoxrunError(f"on_result must be a function, not {type(on_result).__name__}")
        audio = model.config.audio
        self._schedule = schedule = Schedule.for_delay(audio, tokenizer, delay_ms)
        draft: Schedule | None = None
        if draft_ms is not None:
            draft = Schedule.for_delay(audio, tokenizer, number("draft_ms", draft_ms))
            if draft.n_delay >= schedule.n_delay:
                raise VoxrunError(
                    f"a draft_ms of {draft_ms:g} is not possible: it must be shorter than the session's delay"
                )
        self._draft_schedule = draft
        sampler = Sampler(tokenizer.pad, temperature, seed, Unstick() if unstick else None)
        generator = partial(Generator, model, tokenizer, sampler=sampler, live=live, most_rows=look_ahead)

        def make() -> State:
            final = generator(schedule, keep_logits=alternatives > 0)
            if draft is None:
                return State(Listener(model), final, None)
            clock = FrameClock(audio.sampling_rate, audio.samples_per_position)
            return State(Listener(model), final, Draft(generator(draft), clock, WordGrouper(tokenizer)))

        self._computation = Computation(
            model,
            tokenizer,
            make,
            left_samples=schedule.left_samples,
            first_position=schedule.prompt_length - 1,
            samples_per_position=schedule.samples_per_position,
            alternatives=alternatives,
            on_result=on_result,
        )
        self._beyond = look_beyond(audio)
        self._rate = audio.sampling_rate
        self._audio = 0  # samples of the caller's
        self._fed = 0  # samples of the stream: these, and the silence of flushes
        self._flushed = True  # nothing was fed since the last flush
        self._finished = False
        self._queueing = threading.RLock()  # held for a moment; a destructor may come in between
        self._turn = threading.Lock()  # of calls that wait
        self._pending: deque[Future[Result]] = deque()  # not known to be done
        self._unclaimed: deque[Future[Result]] = deque()  # of calls that wait, or whose wait was interrupted

    def feed(self, samples: Array) -> Result:
        """Take mono samples [n] or [n, 1] at `Transcriber.rate`, n of any size; return new text.

        Floats of any width in -1..1, or integers of any width, which are divided by their full range (uint8
        is centred at 128, as in WAV). A sample that is not finite counts as silence: it would silence the
        whole rest of the stream.

        If the wait is interrupted (Ctrl-C), nothing is lost: the next call returns what this one would have.

        Raises AudioError for anything else, and VoxrunError after `finish` and `cancel`.
        """
        samples = mono(samples)
        return self._wait(partial(self._feed, samples))

    def flush(self) -> Result:
        """Return the text that is still held back by the delay, by feeding silence; the stream may go on.

        Without new samples since the last flush it does nothing. Raises VoxrunError after `finish`.
        """
        return self._wait(self._flush)

    def finish(self) -> Result:
        """End the stream and return the last words; a second call does nothing."""
        return self._wait(self._finish)

    def feed_later(self, samples: Array) -> "Future[Result]":
        """Queue what `feed` does; its result comes with the future. Raises the same errors at once."""
        samples = mono(samples)
        return self._later(partial(self._feed, samples))

    def flush_later(self) -> "Future[Result]":
        """Queue what `flush` does."""
        return self._later(self._flush)

    def finish_later(self) -> "Future[Result]":
        """Queue what `finish` does."""
        return self._later(self._finish)

    def cancel(self) -> None:
        """Drop what waits, and free the memory of the stream; the futures of queued calls are cancelled.

        All later calls raise VoxrunError, except this one.
        """
        check_process()
        with self._queueing:
            self._computation.cancelled = True
            pending = list(self._pending)
        for future in pending:
            future.cancel()
        SCHEDULER.wake(self._computation)

    def __reduce__(self) -> NoReturn:
        """Raises VoxrunError: a stream is neither copied nor sent to another process."""
        raise VoxrunError("a Session cannot be sent to another process: open the model and begin it there")

    @property
    def seconds(self) -> float:
        """Seconds of audio fed so far."""
        return self._audio / self._rate

    @property
    def waiting(self) -> float:
        """Seconds of audio that were fed and are not yet computed."""
        return (self._audio - self._computation.audio_done) / self._rate

    @property
    def n_tokens(self) -> int:
        """Tokens generated so far, control tokens included: one for each position of 80 ms."""
        return self._computation.n_tokens

    @property
    def n_passes(self) -> int:
        """Passes of the decoder so far; with look-ahead they are fewer than tokens."""
        return self._computation.n_passes

    def _feed(self, samples: FloatArray) -> Call:
        self._must_go_on()
        self._audio += len(samples)
        self._fed += len(samples)
        self._flushed = self._flushed and not len(samples)
        return Call(samples, is_audio=True)

    def _flush(self) -> Call:
        self._must_go_on()
        silence = 0 if self._flushed else self._schedule.right_samples(self._fed)
        self._fed += silence
        flushes, self._flushed = not self._flushed, True
        return Call(np.zeros(silence, np.float32), flushes=flushes)

    def _finish(self) -> Call | None:
        if self._finished:
            return None
        self._finished = True
        silence = self._schedule.right_samples(self._fed) + self._beyond
        draft = self._draft_schedule or self._schedule
        limits = self._schedule.n_tokens(self._fed), draft.n_tokens(self._fed)
        return Call(np.zeros(silence, np.float32), finishes=True, limits=limits)

    def _must_go_on(self) -> None:
        if self._finished:
            raise VoxrunError("the session is finished; start another")

    def _later(self, make: Callable[[], Call | None], claimed: bool = True) -> "Future[Result]":
        """Queue a call, unless there is nothing to do."""
        check_process()  # or a lock that another thread held at the fork is never released
        with self._queueing:
            if self._computation.cancelled:
                raise VoxrunError("the session was cancelled; start another")
            if self._computation.failure:
                raise VoxrunError(f"the session has failed ({self._computation.failure}); start another")
            call = make()
            if call is None:
                done: Future[Result] = Future()
                done.set_result(Result())
                return done
            while self._pending and self._pending[0].done():
                self._pending.popleft()
            self._pending.append(call.future)
            if not claimed:
                self._unclaimed.append(call.future)
            self._computation.queue(call)
        SCHEDULER.wake(self._computation)
        return call.future

    def _wait(self, make: Callable[[], Call | None]) -> Result:
        """Do a call and return its result, after those of calls whose wait was interrupted."""
        check_process()
        if is_current():  # a destructor there, or on_result: it cannot wait for itself
            future = self._later(make)
            SCHEDULER.drive(future)
            return future.result()
        with self._turn:
            self._later(make, claimed=False)
            results = [self._result(future) for future in list(self._unclaimed)]
            self._unclaimed.clear()
            return joined(results)

    def _result(self, future: "Future[Result]") -> Result:
        try:
            return future.result()
        except KeyboardInterrupt:
            raise  # the future is not done, and stays for the next call
        except BaseException:
            self._unclaimed.clear()
            raise
