"""Batches: each sequence is heard once and written at several delays."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from tiny.training.augment import augmented
from tiny.training.config import Phase, Shape
from tiny.training.history import drop_words, history, random_text
from tiny.training.labels import draw_delays, write
from tiny.training.sequences import Composer


@dataclass(frozen=True)
class Batch:
    """`mel` float16 [b, 128, 8 n] and `phones` [b, 8 n] of b sequences; the rest: a row per delay.

    `delays` [r], `labels` [r, n], `counted` [r, n] (see `Labels`) and `ids` [r, n], the decoder's
    input; the rows of a sequence follow each other, so that r = b * `rows_each`.
    """

    mel: Tensor
    phones: Tensor
    delays: Tensor
    labels: Tensor
    counted: Tensor
    ids: Tensor

    @property
    def rows_each(self) -> int:
        """At how many delays each sequence is decoded."""
        return len(self.delays) // len(self.mel)

    def pin_memory(self) -> "Batch":
        """In memory that a GPU can read; a DataLoader calls it."""
        return Batch(*(getattr(self, field.name).pin_memory() for field in fields(self)))

    def to(self, device: torch.device) -> "Batch":
        """On a device, copied while the program goes on."""
        tensors = (getattr(self, field.name) for field in fields(self))
        return Batch(*(tensor.to(device, non_blocking=True) for tensor in tensors))


def make_batch(composer: Composer, phase: Phase, shape: Shape) -> Batch:
    """Draw one process's batch of a training step."""
    rng, corruption = composer.rng, phase.history
    sequences = [composer.sequence(shape.positions) for _ in range(shape.sequences)]
    written = [
        write(sequence, delay, corruption.shifted, rng)
        for sequence in sequences
        for delay in draw_delays(phase.delays, rng)
    ]
    labels = torch.from_numpy(np.stack([row.tokens for row in written]))
    delays = torch.tensor([row.delay for row in written])
    midstream = torch.tensor([s.midstream for s in sequences])
    ids = history(labels, delays, midstream.repeat_interleave(phase.delays.count))
    return Batch(
        mel=augmented(sequences, phase.sound).half(),
        phones=torch.from_numpy(np.stack([s.phones for s in sequences])).long(),
        delays=delays,
        labels=labels,
        counted=torch.from_numpy(np.stack([row.counted for row in written])),
        ids=drop_words(random_text(ids, corruption.random), corruption.dropped),
    )
