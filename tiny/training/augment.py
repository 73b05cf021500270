"""Batches of sequences as tensors: the sound is augmented, the history the decoder reads corrupted.

The decoder learns to cope with its own mistakes: some of the previous text tokens are random, some
words are missing, and some tokens are what the model itself would have written there.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tiny.training.config import (
    BOS,
    FIRST_TEXT,
    LEFT_PAD,
    MELS_PER_POSITION,
    PAD,
    PROMPT,
    WORD,
    ModelConfig,
    Phase,
    Shape,
)
from tiny.training.logmel import BINS, FLOOR
from tiny.training.sequences import Composer, Sequence


@dataclass(frozen=True)
class Batch:
    """`mel` [b, 128, 8 n], `phones` [b, 8 n], `labels` [b, n], `ids` [b, n].

    The ids are the decoder's input: the labels one position later, partly corrupted.
    """

    mel: Tensor
    phones: Tensor
    labels: Tensor
    ids: Tensor


def make_batch(composer: Composer, phase: Phase, shape: Shape) -> Batch:
    """Draw one process's batch of a training step."""
    sequences = [
        composer.sequence(shape.positions, phase.real_share) for _ in range(shape.sequences)
    ]
    labels = torch.from_numpy(np.stack([s.labels for s in sequences]))
    ids = drop_words(random_text(history(labels), phase.random_history), phase.dropped_history)
    phones = torch.from_numpy(np.stack([s.phones for s in sequences])).long()
    return Batch(augmented(sequences), phones, labels, ids)


def uniform(low: float, high: float, *size: int) -> Tensor:
    """Random numbers between `low` and `high`, a tensor of `size`."""
    return torch.empty(*size).uniform_(low, high)


def chance(probability: float, *size: int) -> Tensor:
    """True with `probability`, a tensor of `size`."""
    return torch.rand(*size) < probability


def augmented(sequences: list[Sequence]) -> Tensor:
    """Log-mels [b, 128, frames] with another gain, colour, noise, band limit, and with masks.

    The paddings before and behind the speech stay digital silence.
    """
    mel = torch.from_numpy(np.stack([s.mel for s in sequences]))
    power = 4 * mel - 4  # log10 of the power
    power = with_noise(power + colour(len(sequences)))
    for one in power:
        mask(one)
    first = LEFT_PAD * MELS_PER_POSITION
    for one, sequence in zip(power, sequences, strict=True):
        one[:, :first] = one[:, first + sequence.frames :] = FLOOR
    return (power.clamp(min=FLOOR) + 4) / 4


def colour(count: int) -> Tensor:
    """Gain, tilt and a slow ripple over the mel bins, in log10 of the power, [count, 128, 1]."""
    ramp = torch.linspace(-1, 1, BINS)[:, None]
    line = torch.linspace(0, 1, BINS)[:, None]
    ripple = torch.cos(line * uniform(3, 15, count, 1, 1) + uniform(0, 6, count, 1, 1))
    gain, tilt = uniform(-1.6, 0.6, count, 1, 1), uniform(-0.5, 0.5, count, 1, 1)
    return gain + tilt * ramp + uniform(-0.4, 0.4, count, 1, 1) * ripple


def with_noise(power: Tensor) -> Tensor:
    """Stationary noise of random level and tilt added to log10 powers [b, 128, frames]."""
    count = len(power)
    silent = torch.full((count, 1, 1), -12.0)
    level = torch.where(chance(0.6, count, 1, 1), uniform(-7, -2.6, count, 1, 1), silent)
    tilt = uniform(-1, 1, count, 1, 1) * torch.linspace(-1, 1, BINS)[:, None]
    noise = level + tilt + 0.3 * torch.randn_like(power)
    return torch.log10(10**power + 10**noise)


def mask(power: Tensor) -> None:
    """Limit the band and mask random bins and frames of one log10 power [128, frames], in place."""
    frames = power.shape[1]
    if chance(0.15, 1):
        power[_between(95, 104) :] = FLOOR
    if chance(0.7, 1):
        for _ in range(2):
            width = _between(0, 14)
            start = _between(0, BINS - 1 - width)
            power[start : start + width] = power.mean()
    for _ in range(_between(0, 3)):
        width = _between(1, 8)
        start = _between(LEFT_PAD * MELS_PER_POSITION, frames - width)
        power[:, start : start + width] = power.mean()


def _between(low: int, high: int) -> int:
    """A random integer, both ends included."""
    return int(torch.randint(low, high + 1, ()))


def history(labels: Tensor) -> Tensor:
    """Decoder input [b, n]: BOS, pads over the prompt, then the labels one position later."""
    ids = torch.full_like(labels, PAD)
    ids[:, 0] = BOS
    ids[:, PROMPT:] = labels[:, PROMPT - 1 : -1]
    return ids


def random_text(ids: Tensor, share: float) -> Tensor:
    """Replace a share of the text tokens by random ones."""
    other = torch.randint_like(ids, FIRST_TEXT, ModelConfig.vocab_size)
    return torch.where((ids >= FIRST_TEXT) & chance(share, *ids.shape), other, ids)


def drop_words(ids: Tensor, share: float) -> Tensor:
    """Replace a share of the words by pads, as if the model had missed them."""
    number = torch.cumsum(ids == WORD, 1)  # of the word at each position, from 1; 0 before
    dropped = chance(share, len(ids), int(number.max()) + 1)
    dropped[:, 0] = False
    written = (ids == WORD) | (ids >= FIRST_TEXT)
    return torch.where(torch.gather(dropped, 1, number) & written, PAD, ids)


def own_text(ids: Tensor, guesses: Tensor, share: float) -> Tensor:
    """Replace a share of the text tokens by the model's guesses [b, n] for the next position.

    Only where both are text: the timing of the history stays true.
    """
    own = torch.cat([ids[:, :1], guesses[:, :-1]], 1)
    both = (ids >= FIRST_TEXT) & (own >= FIRST_TEXT)
    return torch.where(both & chance(share, *ids.shape), own, ids)
