"""Batches by step, made in this process or by others that work ahead."""

import ctypes
import itertools
import random
from collections.abc import Iterator
from multiprocessing import Value

import torch
from torch.utils.data import DataLoader, Dataset

from tiny.training.batches import Batch, make_batch
from tiny.training.config import Phase
from tiny.training.dataset import Dataset as Clips
from tiny.training.noise import noises
from tiny.training.sequences import Composer

AHEAD = 4  # batches that each process keeps ready
STRIDE = 1_000_003  # between the seeds of two phases or ranks: more than there are steps


class Steps(Dataset):
    """The batch of each step, drawn from the seed of the phase, the rank and the step alone.

    All ranks draw batches of the same shape. `progress` is the share of the phase that is done.
    """

    def __init__(self, clips: Clips, phase: Phase, rank: int = 0) -> None:
        self.phase, self.rank = phase, rank
        self.composer = Composer(clips, phase.sound, phase.seed)
        self.progress = Value(ctypes.c_double, 0.0)

    def __getitem__(self, step: int) -> Batch:
        phase = self.phase.at(self.progress.value)
        shapes = [shape.share for shape in phase.shapes]
        shape = random.Random(STRIDE * phase.seed + step).choices(phase.shapes, shapes)[0]
        seed = STRIDE * (1 + 1000 * phase.seed + self.rank) + step
        self.composer.rng = random.Random(seed)
        torch.default_generator.manual_seed(seed)  # the CPU's alone
        return make_batch(self.composer, phase, shape)


def feed(steps: Steps, workers: int, pinned: bool) -> Iterator[Batch]:
    """The batches of all steps, in order, without an end; the same for any number of workers."""
    noises()  # once, before the processes part
    loader = DataLoader(
        steps,
        batch_size=None,
        sampler=itertools.count(),  # type: ignore[arg-type]
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        pin_memory=pinned,
    )
    return iter(loader)
