"""Picking tokens from logits: the likeliest, or a sample; and waking a stream that has fallen silent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxrun.arrays import FloatArray
from voxrun.device import mx
from voxrun.errors import VoxrunError

from .results import Alternative
from .tokenizer import Tokenizer, harmless
from .tuning import tuning


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
            n, vocabulary = logits.shape
            noise = [mx.random.gumbel((vocabulary,), key=self._key(number + i)) for i in range(n)]
            logits = logits / self._temperature + _like(logits, mx.stack(noise))
        return logits

    @property
    def scale(self) -> float:
        """What a difference of logits is multiplied by in scores."""
        return 1 / self._temperature if self._temperature > 0 else 1.0

    @property
    def looks_back(self) -> bool:
        """Whether scores depend on the tokens before."""
        return self._unstick is not None

    def _penalties(self, logits: Any, run: int) -> Any:
        assert self._unstick is not None
        n, vocabulary = logits.shape
        column = mx.array([[self._unstick.penalty(run + i)] for i in range(n)])
        return _like(logits, column * (mx.arange(vocabulary) == self._pad))

    def _key(self, number: int) -> mx.array:
        return mx.random.key((self._seed << 32) + number)


SMALL = 10.0
"""Logits below this differ between two passes by as much as if they were this large."""


def _like(logits: Any, array: mx.array) -> Any:
    return np.asarray(array) if isinstance(logits, np.ndarray) else array


@dataclass(frozen=True)
class TwoBest:
    """Of rows of scores: the best token, its score, the second best score, the size of the logits; all [n].

    MLX's arrays are computed when they are read.
    """

    ids: Any
    top: Any
    second: Any
    size: Any
    logits: Any
    """The logits themselves [n, vocabulary], or None if they are not kept."""


def two_best(scores: Any, logits: Any, keep: bool = False) -> TwoBest:
    """Of scores [n, vocabulary] that were made of these logits, or are them; whether to keep the logits."""
    ids, top, second = _two(scores)
    size = abs(top) if scores is logits else abs(logits).max(axis=1)
    return TwoBest(ids, top, second, size, logits if keep else None)


def _two(scores: Any) -> tuple[Any, Any, Any]:
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


@dataclass(frozen=True)
class Best:
    """The tokens of some rows of scores."""

    ids: list[int]
    sure: list[bool]
    """Whether the second best is farther away than rounding could bring it."""
    logits: FloatArray | None
    """[n, vocabulary], or None if they are not kept."""


def read(found: Sequence[TwoBest], scales: Sequence[float], dtype: mx.Dtype) -> list[Best]:
    """Wait for MLX, once for all; `dtype` is that of activations, `scales` those of the scores."""
    share = tuning().rounding[str(dtype).removeprefix("mlx.core.")]
    if not isinstance(found[0].ids, np.ndarray):
        mx.eval([vars(two) for two in found])
    return [_best(two, share * scale) for two, scale in zip(found, scales, strict=True)]


def _best(two: TwoBest, share: float) -> Best:
    ids, top, second, size = (np.asarray(each) for each in (two.ids, two.top, two.second, two.size))
    near = top - second < share * np.maximum(SMALL, size)
    return Best(ids.tolist(), (~near).tolist(), None if two.logits is None else np.asarray(two.logits))


def likeliest(logits: FloatArray, n: int, tokenizer: Tokenizer) -> tuple[Alternative, ...]:
    """The n likeliest tokens of NumPy's logits [vocabulary], best first."""
    weights = np.exp(logits - logits.max())
    probabilities = weights / weights.sum()
    among = np.argpartition(-probabilities, min(n, len(probabilities) - 1))[:n]
    best = among[np.lexsort((among, -probabilities[among]))]
    texts = [harmless(tokenizer.text_bytes(int(id)).decode(errors="replace")) for id in best]
    return tuple(
        Alternative(int(id), text, float(probabilities[id])) for id, text in zip(best, texts, strict=True)
    )
