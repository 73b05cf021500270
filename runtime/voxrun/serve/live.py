"""A session of the model for asyncio: audio in, results out, with bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from voxrun.arrays import FloatArray
from voxrun.errors import VoxrunError
from voxrun.stream.results import Result
from voxrun.stream.schedule import Schedule
from voxrun.transcriber import Transcriber

from .errors import Kind, RefusedError
from .metrics import SessionMeter

MOST_TOLD = 256
"""Results that wait to be told; a client that does not read them is not read either."""


@dataclass(frozen=True)
class Reached:
    """All results before what `flush` or `finish` was called for have been told."""

    tag: object


Told = Result | Reached


class LiveSession:
    """One stream of audio. All methods belong to the event loop; iterate over it for what the model says.

    After `cancel`, which may come at any time, they do nothing. If the model fails, the iteration says so and
    no other method does: a client's next audio may come before it is told.
    """

    def __init__(self, transcriber: Transcriber, waiting_seconds: float, meter: SessionMeter) -> None:
        self._loop = asyncio.get_running_loop()
        self._told = asyncio.Queue[Told | BaseException | None]()  # bounded by `hear`
        self._moved = asyncio.Event()  # something was computed, or told
        self._waiting_seconds = waiting_seconds
        self._cancelled, self._meter = False, meter
        self.transcriber = transcriber

    async def begin(self, **options: Any) -> None:
        """Begin the stream; the options are those of `Session`. Raises VoxrunError if one is impossible."""
        options = {"live": True, "on_result": self._tell, **options}
        self._session = await asyncio.to_thread(self.transcriber.session, **options)  # it may wait for MLX
        audio, tokenizer = self.transcriber.model.config.audio, self.transcriber.tokenizer
        self._schedule = Schedule.for_delay(audio, tokenizer, options.get("delay_ms"))

    @property
    def seconds(self) -> float:
        """Of audio heard so far."""
        return self._session.seconds

    @property
    def n_prompt(self) -> int:
        """Tokens of the prompt."""
        return self._schedule.prompt_length

    @property
    def n_tokens(self) -> int:
        """Tokens so far."""
        return self._session.n_tokens

    @property
    def waiting(self) -> float:
        """Seconds of audio that the model has not heard yet."""
        return self._session.waiting

    async def hear(self, samples: FloatArray) -> None:
        """Take samples [n] at `rate`; waits while more than the limits is not heard, or not told yet.

        Whoever iterates must not wait for it.
        """
        if self._cancelled:
            return
        self._meter.hear(len(samples) / self.transcriber.rate)
        self._call(lambda: self._session.feed_later(samples), None)
        while self._is_full:
            self._moved.clear()
            await self._moved.wait()

    def flush(self, tag: object = None) -> None:
        """Have the words told that are behind the delay, then `Reached(tag)`; the stream may go on."""
        if not self._cancelled:
            self._call(self._session.flush_later, Reached(tag))

    def finish(self, tag: object = None) -> None:
        """End the stream: its last words, then `Reached(tag)`, and the iteration ends."""
        if not self._cancelled:
            self._call(self._session.finish_later, Reached(tag), last=True)

    def cancel(self) -> None:
        """Drop what waits, and end the iteration."""
        if not self._cancelled:
            self._cancelled = True
            self._session.cancel()
            self._put(None)

    async def __aiter__(self) -> AsyncIterator[Told]:
        """What the model says, as soon as it does. Raises RefusedError if the model fails."""
        while (told := await self._told.get()) is not None:
            self._moved.set()
            if isinstance(told, BaseException):
                raise RefusedError(Kind.FAILED, f"the model failed ({type(told).__name__}: {told})") from told
            yield told
            if isinstance(told, Result):
                self._meter.told(told)

    @property
    def _is_full(self) -> bool:
        too_much = self.waiting > self._waiting_seconds or self._told.qsize() > MOST_TOLD
        return too_much and not self._cancelled

    def _put(self, *told: Told | BaseException | None) -> None:
        for each in told:
            self._told.put_nowait(each)
        self._moved.set()

    def _tell(self, *told: Told | BaseException | None) -> None:
        """From any thread."""
        with suppress(RuntimeError):  # the server has ended
            self._loop.call_soon_threadsafe(self._put, *told)

    def _call(self, begin: Callable[[], Future[Result]], then: Reached | None, *, last: bool = False) -> None:
        """Queue a call of the session; when it is done, tell `then`, or what went wrong."""

        def done(future: Future[Result]) -> None:
            if future.cancelled():
                return
            if error := future.exception():
                self._tell(error)
            else:
                self._tell(*[then] * (then is not None), *[None] * last)

        try:
            begin().add_done_callback(done)
        except VoxrunError as error:  # the model has failed by now
            self._tell(error)
