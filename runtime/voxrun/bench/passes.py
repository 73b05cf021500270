"""Passes of encoder and decoder, one at a time, as sessions run them. All of it in MLX's thread."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.checkpoint.config import TransformerConfig
from voxrun.device import mx
from voxrun.errors import WeightsError
from voxrun.model.cache import FlatCache, KVCache
from voxrun.model.ring import RingCache
from voxrun.model.voxtral import DecoderRows, VoxtralRealtime
from voxrun.stream.listener import Listener
from voxrun.stream.schedule import Schedule
from voxrun.stream.tokenizer import Tokenizer

from .results import Spread
from .timing import Effort, timed


class Passes:
    """A model, and what its passes work on."""

    def __init__(self, model: VoxtralRealtime, tokenizer: Tokenizer, signal: FloatArray) -> None:
        """`signal`: samples [n] to encode; they are heard again and again."""
        self._model, self._pad = model, tokenizer.pad
        self._schedule = Schedule.for_delay(model.config.audio, tokenizer, None)
        self._prompt = self._schedule.prompt(tokenizer)
        self._gains = model.gains(self._schedule.n_delay)
        self._in_numpy = isinstance(self._gains[0], np.ndarray)
        self._frames = Listener(model).frames(signal)
        self._embeddings: Any = None

    def encoder(self, positions: int, effort: Effort) -> Spread:
        """A pass over so many positions, behind a full window."""
        state = self._model.encoder_state()
        self._fill(state.caches, self._model.config.encoder)
        wanted = positions * self._model.config.mel_per_position
        mel = np.resize(self._frames, (wanted, self._frames.shape[1]))

        def work() -> None:
            self._embeddings = self._computed(self._model.encode(mel, state))

        return timed(work, effort)

    def decoder(self, rows: int, effort: Effort, full_window: bool = False) -> Spread:
        """A pass of so many rows of a stream, to its tokens: behind the prompt, or behind a full window."""
        caches = self._model.decoder_caches() if full_window else self._begun()
        if full_window:
            self._fill(caches, self._model.config.decoder)

        def work() -> None:
            logits = self._logits([self._pad] * rows, caches)
            logits.argmax(axis=1).tolist()

        def back() -> None:
            if caches[0].offset > start:
                for cache in caches:
                    cache.rewind(rows)

        start = caches[0].offset
        return timed(work, effort, prepare=back)

    def differences(self, sizes: Sequence[int]) -> dict[int, float]:
        """How far logits of rows are apart, computed one by one and so many in a pass: the largest share."""
        caches = self._begun()
        alone, twins = [], [cache.copy() for cache in caches]
        for row in range(max(sizes, default=1)):
            alone.append(self._as_numpy(self._logits([self._pad], twins, first=row)))
        one_by_one, found = np.concatenate(alone), {}
        for n in sizes:
            together = self._as_numpy(self._logits([self._pad] * n, caches))
            found[n] = largest_share(one_by_one[:n], together)
            for cache in caches:
                cache.rewind(n)
        return found

    def primitives(self) -> int | None:
        """Nodes of MLX's graph of a pass of one row; None if our kernels compute."""
        if self._in_numpy:
            return None
        text = io.StringIO()
        mx.export_to_dot(text, mx.argmax(self._logits([self._pad], self._begun()), axis=1))
        return text.getvalue().count("shape=rectangle")

    def _begun(self) -> list[KVCache]:
        """The caches of a stream whose prompt is decoded."""
        caches = self._model.decoder_caches()
        self._computed(self._logits(self._prompt, caches))
        return caches

    def _logits(self, tokens: list[int], caches: list[KVCache], first: int = 0) -> Any:
        """Logits [n, vocabulary] of the next rows; embeddings are those of the last encoder pass, in turn."""
        index = np.arange(first, first + len(tokens)) % self._embeddings.shape[1]
        audio = self._embeddings[:, index if self._in_numpy else mx.array(index)]
        hidden = self._model.decode_all([DecoderRows(tokens, audio, self._gains, caches)])
        return self._model.language_model.logits(hidden)[0]

    def _fill(self, caches: list[KVCache], stack: TransformerConfig) -> None:
        """As after a long stream: a full window of keys and values of nothing in particular."""
        shape = (1, stack.n_kv_heads, stack.sliding_window - 1, stack.head_dim)
        for cache in caches:
            if isinstance(cache, RingCache):
                cache.advance(shape[2])  # its slots are zeros
            elif isinstance(cache, FlatCache):
                zeros = np.zeros(shape, np.float32) if self._in_numpy else mx.zeros(shape, self._model.dtype)
                self._computed(cache.update(zeros, zeros))

    def _computed(self, arrays: Any) -> Any:
        if not self._in_numpy:
            mx.eval(arrays)
        return arrays

    def _as_numpy(self, logits: Any) -> FloatArray:
        return np.array(logits, np.float32)


def largest_share(one: FloatArray, other: FloatArray) -> float:
    """The largest difference of logits [n, vocabulary], as a share of the row's largest logit or of 10.

    Raises WeightsError if they are not finite.
    """
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise WeightsError(
            "the model's logits are not finite: its weights are damaged, or this device computes them wrongly"
        )
    size = np.maximum(10, np.abs(one.max(axis=1)))
    return float((np.abs(one - other).max(axis=1) / size).max())
