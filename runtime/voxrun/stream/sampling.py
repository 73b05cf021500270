"""Picking tokens from logits: the likeliest, or a sample; and waking a stream that has fallen silent."""

import math
from dataclasses import dataclass

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
    """Logits to tokens. A sample depends only on the seed and the token's number, not on the chunks."""

    def __init__(self, pad: int, temperature: float, seed: int, unstick: Unstick | None) -> None:
        """Raises VoxrunError for an impossible temperature or seed."""
        if not 0 <= temperature < math.inf:
            raise VoxrunError(
                f"a temperature of {temperature:g} is not possible: 0 is greedy, 1 as the model is"
            )
        if not 0 <= seed < 2**32:
            raise VoxrunError(f"a seed of {seed} is not possible: it must be from 0 to {2**32 - 1}")
        self._pad, self._temperature, self._seed, self._unstick = pad, temperature, seed, unstick

    def pick(self, logits: mx.array, number: int, run: int) -> list[int]:
        """Logits [n, vocabulary] of the tokens from `number` on, after `run` pads, -> a token each.

        Row i is used only if the rows before it were pads, so its run is longer by i.
        """
        if self._unstick is not None:
            logits = logits - self._penalties(len(logits), run, logits.shape[1])
        if self._temperature > 0:
            noise = [mx.random.gumbel(row.shape, key=self._key(number + i)) for i, row in enumerate(logits)]
            logits = logits / self._temperature + mx.stack(noise)
        picked: list[int] = mx.argmax(logits, axis=1).tolist()  # type: ignore[assignment]
        return picked

    def _penalties(self, n: int, run: int, vocabulary: int) -> mx.array:
        assert self._unstick is not None
        column = mx.array([[self._unstick.penalty(run + i)] for i in range(n)])
        return column * (mx.arange(vocabulary) == self._pad)

    def _key(self, number: int) -> mx.array:
        return mx.random.key((self._seed << 32) + number)


def likeliest(logits: mx.array, n: int, tokenizer: Tokenizer) -> tuple[Alternative, ...]:
    """The n likeliest tokens of logits [vocabulary], best first."""
    probabilities = np.array(mx.softmax(logits))
    among = np.argpartition(-probabilities, min(n, len(probabilities) - 1))[:n]
    best = among[np.lexsort((among, -probabilities[among]))]
    texts = [harmless(tokenizer.text_bytes(int(id)).decode(errors="replace")) for id in best]
    return tuple(
        Alternative(int(id), text, float(probabilities[id])) for id, text in zip(best, texts, strict=True)
    )
