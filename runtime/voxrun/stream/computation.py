"""What MLX's thread keeps and does for one session: from queued samples to results."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.model.voxtral import VoxtralRealtime

from .calls import Call
from .clock import FrameClock
from .draft import Draft
from .generator import Generator, Picked
from .listener import Listener
from .results import Result, Token, joined
from .sampling import likeliest
from .tokenizer import Tokenizer
from .words import WordGrouper


class State(NamedTuple):
    """A stream's state in the model."""

    listener: Listener
    final: Generator
    draft: Draft | None


class Computation:
    """The work of one session, a pass at a time. Other threads only queue calls, cancel, and read figures."""

    def __init__(
        self,
        model: VoxtralRealtime,
        tokenizer: Tokenizer,
        make: Callable[[], State],
        *,
        left_samples: int,
        first_position: int,
        samples_per_position: int,
        alternatives: int,
        on_result: Callable[[Result], None] | None,
    ) -> None:
        """`make` is called in MLX's thread; `first_position` is the one whose logits give the first token."""
        self.model, self._tokenizer, self._make = model, tokenizer, make
        self._first, self._per_position = first_position, samples_per_position
        self._alternatives, self._on_result = alternatives, on_result
        self._clock = FrameClock(model.config.audio.sampling_rate, samples_per_position)
        self._words = WordGrouper(tokenizer)
        self._state: State | None = None
        self._inbox = deque([Call(np.zeros(left_samples, np.float32))])
        self._calls: deque[Call] = deque()  # begun and not done
        self._untaken: deque[Call] = deque()  # those of them whose samples were not all taken
        self._taken = 0  # samples of the stream
        self._heard = 0  # positions of the stream that were encoded
        self._audio_taken = 0  # samples of the caller's
        self._blocks: deque[tuple[int, int]] = deque()  # encoded, not all decoded: where each ends, both ways
        self._answers: list[tuple[Call, Result | BaseException]] = []
        self._settled = -1.0  # end of the last token
        self._draft = ""
        self.in_pass = False
        """Whether the scheduler is at work on it."""
        self.cancelled = False
        self.failure = ""
        """What went wrong, in a line."""
        self.n_tokens = 0
        self.n_passes = 0
        self.audio_done = 0
        """Samples of the caller's audio that are computed, block by block."""

    def queue(self, call: Call) -> None:
        """Have a call done after those before it, once the scheduler is told."""
        self._inbox.append(call)

    @property
    def has_work(self) -> bool:
        """Whether a call is not done."""
        return bool(self._inbox or self._calls)

    @property
    def live(self) -> bool:
        """Whether it is live and has not ended: someone waits for what is said now."""
        return self._state is not None and self._state.final.live

    def begin(self) -> None:
        """Make the stream's state, and begin the calls that were queued."""
        self._state = self._state or self._make()
        while self._inbox:
            call = self._inbox.popleft()
            self._begin(call, self._state)
            self._calls.append(call)
            self._untaken.append(call)

    def _begin(self, call: Call, state: State) -> None:
        clocks = [self._clock, *([state.draft.clock] if state.draft else [])]
        for clock in clocks:
            if call.is_audio:
                clock.hear(len(call.samples))
            if call.flushes:
                clock.insert_silence(len(call.samples))
        if call.finishes:
            state.final.limit = call.limits[0]
            if state.draft:
                state.draft.generator.limit = call.limits[1]

    @property
    def waiting_samples(self) -> int:
        """Samples that were not taken."""
        return sum(len(call.samples) for call in self._untaken)

    def is_hungry(self, positions: int) -> bool:
        """Whether samples can be taken, and at most so many positions of embeddings wait to be decoded.

        Fewer than a decoder's next step needs are none.
        """
        if self._state is None or not self.waiting_samples:
            return False
        return all(each.waiting <= positions for each in self.ready)

    def take(self, positions: int) -> FloatArray | None:
        """The mel frames of at most so many further positions, None if there is not even one."""
        assert self._state is not None
        samples, room = [np.zeros(0, np.float32)], positions * self._per_position
        if not self._taken:  # the silence before the audio is a block of its own, however much follows
            room = len(self._untaken[0].samples)
        while room and self._untaken:
            samples.append(self._take(self._untaken[0], room))
            room -= len(samples[-1])
        frames = self._state.listener.frames(np.concatenate(samples))
        return frames if len(frames) else None

    def _take(self, call: Call, most: int) -> FloatArray:
        assert self._state is not None
        piece, call.samples = call.samples[:most], call.samples[most:]
        self._taken += len(piece)
        self._audio_taken += len(piece) if call.is_audio else 0
        if not len(call.samples):
            call.end = self._state.listener.positions(self._taken)
            self._untaken.popleft()
        return piece

    def _drop(self) -> None:
        """The transcript has ended: nothing more is computed."""
        for call in self._untaken:
            self.audio_done = self._audio_taken = self._audio_taken + len(call.samples) * call.is_audio
            call.samples, call.end = call.samples[:0], 0
        self._untaken.clear()

    @property
    def encoder_state(self) -> Any:
        """What the encoder continues."""
        assert self._state is not None
        return self._state.listener.state

    def hear(self, embeddings: Any) -> None:
        """The embeddings of the frames that were taken."""
        self._heard += embeddings.shape[1]
        self._blocks.append((self._heard, self._audio_taken))
        for generator in self._generators:
            generator.hear(embeddings)

    @property
    def ready(self) -> list[Generator]:
        """The decoders that have a step to compute."""
        if self._state is None or self._state.final.over:
            return []
        return [generator for generator in self._generators if generator.ready]

    @property
    def _generators(self) -> list[Generator]:
        assert self._state is not None
        draft = self._state.draft
        return [draft.generator, self._state.final] if draft else [self._state.final]

    def deliver(self, generator: Generator, picked: list[Picked]) -> None:
        """Tokens of one of its decoders."""
        if self._state is None:
            return  # it has failed in this very pass
        if generator is self._state.final:
            self.n_passes = generator.n_passes
            self._deliver(picked)
        elif self._state.draft:
            self._state.draft.feed(id for id, _ in picked)

    def _deliver(self, picked: Iterable[Picked]) -> None:
        results: list[Result] = []
        for token in picked:
            while (end := self._calls[0].end) is not None and self._first + self.n_tokens >= end:
                self._emit(results)
                results = []
                self._complete()
            results.append(self._timed(token))
        self._emit(results)

    def _timed(self, picked: Picked) -> Result:
        """A position's token with its time, and the text and the word that it completes."""
        id, logits = picked
        competing = () if logits is None else likeliest(logits, self._alternatives, self._tokenizer)
        token = Token(id, self._clock.end_of(self.n_tokens), competing)
        self._settled = token.end
        self.n_tokens += 1
        text, words = self._words.feed(token)
        return Result(text, tuple(words), tokens=(token,))

    def _emit(self, results: list[Result]) -> None:
        """Add to what the first call returns."""
        draft = self._state.draft if self._state else None
        text = draft.text(self._settled) if draft else ""
        if results or text != self._draft:
            self._draft = text
            part = replace(joined(results), partial=self._words.partial, draft=text)
            self._calls[0].results.append(part)
            if self._on_result is not None:
                self._on_result(part)

    def settle(self) -> None:
        """Complete the calls that are done."""
        if self._state is None:
            return
        if self._state.final.over:
            self._drop()
        while self._untaken and not len(self._untaken[0].samples):
            self._take(self._untaken[0], 0)
        decoded = min(generator.n_positions for generator in self._generators)
        while self._blocks and self._blocks[0][0] <= decoded:
            self.audio_done = self._blocks.popleft()[1]
        if not self.ready:
            self.audio_done = self._audio_taken
        if self._calls:
            self._emit([])
        while self._calls and self._is_done(self._calls[0]):
            self._complete()

    def _is_done(self, call: Call) -> bool:
        assert self._state is not None
        end = call.end
        if end is None:
            return False
        return self._state.final.over or all(
            generator.n_positions >= end or (self._heard >= end and not generator.ready) or generator.over
            for generator in self._generators
        )

    def _complete(self) -> None:
        call = self._calls[0]
        if call.flushes or call.finishes:
            if self._state and self._state.draft:
                self._state.draft.close()
            text, words = self._words.finish() if call.finishes else ("", self._words.close())
            self._emit([Result(text, tuple(words))] if text or words else [])
        self._calls.popleft()
        result = replace(joined(call.results), partial=self._words.partial, draft=self._draft)
        if call.finishes:
            self._state = None
        self._answers.append((call, result))

    def fail(self, error: BaseException) -> None:
        """No call can succeed any more: keep why, and nothing else of the stream."""
        self.failure = self.failure or ": ".join(filter(None, (type(error).__name__, str(error))))
        self._answers += [(call, error) for call in self._dropped()]

    def answer(self) -> None:
        """Give the calls that are done their results, after a round."""
        answers, self._answers = self._answers, []
        for call, outcome in answers:
            call.answer(outcome)

    def close(self) -> None:
        """The session was cancelled."""
        for call in self._dropped():
            call.future.cancel()

    def _dropped(self) -> list[Call]:
        """The calls that are not done, which are forgotten with the stream's state."""
        calls = list(self._calls)
        while self._inbox:
            calls.append(self._inbox.popleft())
        self._calls.clear()
        self._untaken.clear()
        self._state = None
        return calls
