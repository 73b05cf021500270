"""Picking tokens from logits: the likeliest, or a sample; and waking a stream that has fallen silent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxrun.device import mx
from voxrun.errors import VoxrunError

from .results import Alternative
from .tokenizer import Tokenizer, harmless


@dataclass(frozen=True)
class Unstick:
    """A penalty on [STREAMING_PAD] after many of them in a row, for a model that is stuck in silence.

    A stuck model writes nothing over speech for minutes: the pad leads by 3.5 to 6.6 logits, in true silence
    by 8.5 and more; pauses between sentences reach 165 positions (vllm-project/vllm#47614, #47615). So a
    penalty below 8.5 wakes a stuck stream, and writes nothing in a silent one.
    """

    patience: int = 200
    """Pads in a row, in positions of 80 ms, before the penalty begins."""
    slope: float = 0.5
    """Logits for each pad after those."""
    cap: float = 7.0
    """Largest penalty in logits."""

    def penalty(self, run: int) -> float:
        """Logits subtracted from the pad after `run` pads in a row."""
        return min(self.cap, self.slope * max(0, run - self.patience))


class Sampler:
    """Logits to scores, the highest of which is the token.

    A sample depends only on the seed and the token's number, not on the chunks.
    """

    def __init__(self, pad: int, temperature: float, seed: int, unstick: Unstick | None) -> None:
        """Raises VoxrunError for an impossible temperature or seed."""
        if not 0 <= temperature < math.inf:
            raise VoxrunError(
                f"a temperature of {temperature:g} is not possible: 0 is greedy, 1 as the model is"
            )
        if not 0 <= seed < 2**32:
            raise VoxrunError(f"a seed of {seed} is not possible: it must be from 0 to {2**32 - 1}")
        self._pad, self._temperature, self._seed, self._unstick = pad, temperature, seed, unstick

    def scores(self, logits: Any, number: int, run: int) -> Any:
        """Logits [n, vocabulary] of the tokens from `number` on, after `run` pads, -> scores [n, vocabulary].

        Row i is used only if the rows before it were pads, so its run is longer by i.
        """
        if self._unstick is not None:
            logits = logits - self._penalties(logits, run)
        if self._temperature > 0:
            noise = [mx.random.gumbel(row.shape, key=self._key(number + i)) for i, row in enumerate(logits)]
            logits = logits / self._temperature + _like(logits, mx.stack(noise))
        return logits

    @property
    def scale(self) -> float:
        """What a difference of logits is multiplied by in scores."""
        return 1 / self._temperature if self._temperature > 0 else 1.0

    def _penalties(self, logits: Any, run: int) -> Any:
        assert self._unstick is not None
        n, vocabulary = logits.shape
        column = mx.array([[self._unstick.penalty(run + i)] for i in range(n)])
        return _like(logits, column * (mx.arange(vocabulary) == self._pad))

    def _key(self, number: int) -> mx.array:
        return mx.random.key((self._seed << 32) + number)


def _like(logits: Any, array: mx.array) -> Any:
    return np.asarray(array) if isinstance(logits, np.ndarray) else array


ROUNDING = {"float32": 1e-4, "float16": 4e-3, "bfloat16": 3e-2}
"""Share of a logit by which it may differ between two passes, by the type of activations: some ten times what
was seen, and below 10 the share of 10."""


@dataclass(frozen=True)
class Best:
    """The tokens of some rows of scores."""

    ids: list[int]
    sure: list[bool]
    """Whether the second best is farther away than rounding could bring it."""


def best_of(scores: Sequence[Any], scales: Sequence[float], dtype: mx.Dtype) -> list[Best]:
    """The best of scores [n, vocabulary], of which there may be several; `dtype` is that of activations."""
    found = [_two(each) for each in scores]
    if not isinstance(scores[0], np.ndarray):
        mx.eval(found)  # all together
    share = ROUNDING[str(dtype).removeprefix("mlx.core.")]
    return [_best(two, share, scale) for two, scale in zip(found, scales, strict=True)]


def _two(scores: Any) -> tuple[Any, Any, Any]:
    """Of each row the best token, its score and the second best score."""
    if not isinstance(scores, np.ndarray):
        ids, top = mx.argmax(scores, axis=1), scores.max(axis=1)
        others = mx.where(mx.arange(scores.shape[1]) == ids[:, None], -mx.inf, scores)
        return ids, top, others.max(axis=1)
    ids, rows = scores.argmax(axis=1), np.arange(len(scores))
    top = scores[rows, ids]
    scores[rows, ids] = -np.inf
    second = scores.max(axis=1)
    scores[rows, ids] = top
    return ids, top, second


def _best(two: tuple[Any, Any, Any], share: float, scale: float) -> Best:
    ids, top, second = map(np.asarray, two)
    near = top - second < share * np.maximum(10 * scale, np.abs(top))
    return Best(ids.tolist(), (~near).tolist())


def likeliest(logits: Any, n: int, tokenizer: Tokenizer) -> tuple[Alternative, ...]:
    """The n likeliest tokens of logits [vocabulary], best first."""
    probabilities = np.array(mx.softmax(mx.array(logits)))
    among = np.argpartition(-probabilities, min(n, len(probabilities) - 1))[:n]
    best = among[np.lexsort((among, -probabilities[among]))]
    texts = [harmless(tokenizer.text_bytes(int(id)).decode(errors="replace")) for id in best]
    return tuple(
        Alternative(int(id), text, float(probabilities[id])) for id, text in zip(best, texts, strict=True)
    )
