"""Whole recordings: a model's scores of given tokens, to compare it with another, and its own tokens.

Each recording is encoded and scored alone, in blocks of fixed sizes, so its scores do not depend on others.
Call all of this in MLX's thread: see `voxrun.mlx_thread.computed`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.model.cache import KVCache
from voxrun.model.functions import joined
from voxrun.model.voxtral import VoxtralRealtime

from .at_once import decoder_bytes
from .generator import Begun, Generator
from .listener import Listener
from .sampling import Sampler, read, two_best
from .schedule import Schedule
from .tokenizer import Tokenizer

BLOCK = 256
"""Positions decoded in a pass, at most."""
ROWS = 64
"""Logits computed together, at most: those of a large vocabulary take half a megabyte a row."""


class Scorer:
    """Scores recordings with a model. What all of them begin with, a silence, is computed once."""

    def __init__(self, model: VoxtralRealtime, tokenizer: Tokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self._silence: tuple[Listener, Any] | None = None
        self._prompts: dict[int, list[KVCache]] = {}

    def hear(self, samples: FloatArray, delay_ms: float | None = None) -> "Recording":
        """Samples [n] of a whole recording, for a delay in ms (None: the default). Raises VoxrunError."""
        schedule = Schedule.for_delay(self.model.config.audio, self.tokenizer, delay_ms)
        return Recording(self, schedule, self.embed(schedule, samples), schedule.n_tokens(len(samples)))

    def embed(self, schedule: Schedule, samples: FloatArray) -> Any:
        """Samples [n] -> embeddings [1, positions, dim] of the padded recording."""
        if self._silence is None:
            listener = Listener(self.model)
            blocks = listener.feed(np.zeros(schedule.left_samples, np.float32))
            self._silence = listener.copy(), joined(blocks) if blocks else None
        listener, first = self._silence[0].copy(), self._silence[1]
        right = schedule.right_samples(len(samples)) + listener.look_ahead
        others = listener.feed(np.concatenate([samples, np.zeros(right, np.float32)]))
        return joined(others if first is None else [first, *others])

    def begin(self, schedule: Schedule) -> tuple[list[KVCache], int]:
        """The decoder's caches after the silence, and how many positions of the prompt these are."""
        assert self._silence is not None
        first = self._silence[1]
        n = 0 if first is None else min(first.shape[1], schedule.prompt_length - 1)
        if schedule.n_delay not in self._prompts:
            caches = self.model.decoder_caches()
            if n:
                prompt, gains = schedule.prompt(self.tokenizer)[:n], self.model.gains(schedule.n_delay)
                self.model.decode(prompt, first[:, :n], gains, caches)
            self._prompts[schedule.n_delay] = [cache.copy() for cache in caches]  # without their room
        return [cache.copy() for cache in self._prompts[schedule.n_delay]], n


@dataclass
class Recording:
    """A whole recording in a model, at a delay."""

    scorer: Scorer
    schedule: Schedule
    audio: Any
    """Embeddings [1, positions, dim]."""
    n_tokens: int
    """Tokens in all, unless an end-of-stream token ends it before."""
    generator: Generator | None = None
    """What writes the model's own tokens, after those given to `logits` that are; None if all of them are."""

    @property
    def nbytes(self) -> int:
        """Memory that it takes while its tokens are written."""
        positions, dim = self.audio.shape[1:]
        model = self.scorer.model
        return int(positions * dim) * model.dtype.size + decoder_bytes(model, positions)

    def generate(self, begun: Begun | None = None, first: int = 0) -> Generator:
        """Begin to write the model's own greedy tokens: all, or from a position in the stream."""
        if begun is None:
            caches, first = self.scorer.begin(self.schedule)
            begun = Begun(caches, self._prompt[first:], 0)
        model, tokenizer = self.scorer.model, self.scorer.tokenizer
        sampler = Sampler(tokenizer.pad, 0.0, 0, None)
        self.generator = Generator(model, tokenizer, self.schedule, sampler, live=False, begun=begun)
        self.generator.limit = self.n_tokens
        self.generator.hear(self.audio[:, first:])
        return self.generator

    def logits(self, tokens: Sequence[int]) -> Iterator[Any]:
        """Logits [n, vocabulary] in blocks: row k is the model's prediction where tokens[k] is given.

        `tokens` are a session's, of this or another model: one for each position after the prompt. As long
        as they are what the model itself would write, nothing else is computed; where that ends, `generator`
        is begun.
        """
        history, prompt = self._prompt + list(tokens[:-1]), self.schedule.prompt_length - 1
        model, gains = self.scorer.model, self.scorer.model.gains(self.schedule.n_delay)
        caches, first = self.scorer.begin(self.schedule)
        for start in range(first, len(history), BLOCK):
            block = history[start : start + BLOCK]
            before = None if self.generator else [cache.copy() for cache in caches]
            hidden = model.decode(block, self.audio[:, start : start + len(block)], gains, caches)
            for row in range(max(0, prompt - start), len(block), ROWS):
                logits = model.language_model.logits(hidden[:, row : row + ROWS])[0]
                if before is not None and self.generator is None:
                    n = start + row - prompt
                    same = self._same(logits, tokens[n : n + len(logits)])
                    if same < len(logits):
                        self.generate(Begun(before, block[: row + same + 1], n + same), start)
                yield logits
        ends = tokens[-1] == self.scorer.tokenizer.eos or len(tokens) >= self.n_tokens
        if before is not None and self.generator is None and not ends:
            self.generate(Begun(before, [*block, tokens[-1]], len(tokens)), start)

    @property
    def _prompt(self) -> list[int]:
        return self.schedule.prompt(self.scorer.tokenizer)

    def _same(self, logits: Any, tokens: Sequence[int]) -> int:
        """How many of the first tokens are surely the best."""
        (best,) = read([two_best(logits, logits)], [1.0], self.scorer.model.dtype)
        agree = [sure and id == token for id, sure, token in zip(best.ids, best.sure, tokens, strict=True)]
        return agree.index(False) if False in agree else len(agree)


def teacher_forced_logits(
    model: VoxtralRealtime,
    tokenizer: Tokenizer,
    samples: FloatArray,
    tokens: Sequence[int],
    delay_ms: float | None = None,
) -> Iterator[Any]:
    """The logits of one recording, see `Recording.logits`."""
    return Scorer(model, tokenizer).hear(samples, delay_ms).logits(tokens)
