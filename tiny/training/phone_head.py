"""A phone head for weights that have none: logistic regression on the frozen encoder's frames."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tiny.training.config import (
    FRAMES_PER_POSITION,
    LEFT_PAD,
    MELS_PER_POSITION,
    PHONE_DELAY,
    SILENCE,
    SPEEDS,
)
from tiny.training.dataset import Dataset, Take
from tiny.training.model import TinyVoxtral

HEARD_SPEEDS = (0.97, 1.0, 1.03)  # of each recording
SYNTHETIC = 700  # sentences
STEPS = 2500
ROWS = 2048  # frames in a step
PEAK_RATE = 1e-2
WEIGHT_DECAY = 0.01
SEED = 0


def fit(model: TinyVoxtral, dataset: Dataset) -> float:
    """Train the phone head of a model whose other weights stay; the share of frames it hears right.

    The phones of `dataset` are the targets.
    """
    torch.manual_seed(SEED)
    frames, phones = zip(*(heard(model, take) for take in drawn(dataset)), strict=True)
    regress(model.phone_head, torch.cat(frames), torch.cat(phones))
    pairs = zip(frames, phones, strict=True)
    with torch.no_grad():
        right = [(model.phone_head(x).argmax(-1) == y).float() for x, y in pairs]
    return float(torch.cat(right).mean())


def drawn(dataset: Dataset) -> list[Take]:
    """Every recording at three speeds and some of the synthetic sentences."""
    speeds = [SPEEDS.index(speed) for speed in HEARD_SPEEDS]
    takes = [recording[i] for recording in dataset.real.values() for i in speeds]
    count = min(SYNTHETIC, len(dataset.synthetic))
    return takes + random.Random(SEED).sample(dataset.synthetic, count)


@torch.no_grad()
def heard(model: TinyVoxtral, take: Take) -> tuple[Tensor, Tensor]:
    """The encoder's frames of a clip, [n, dim], and the phone of each, [n]."""
    frames = lagging_frames(model, take.mel)
    return frames, torch.from_numpy(take.phones[::2]).long()[: len(frames)]


def lagging_frames(model: TinyVoxtral, mel: np.ndarray) -> Tensor:
    """Log-mel [128, frames] to the encoder's frames [frames / 2, dim] the phone head reads.

    They lag behind the sound, for the head hears `PHONE_DELAY` frames more before it decides.
    """
    frames = mel.shape[1]
    positions = LEFT_PAD + -(-frames // MELS_PER_POSITION) + 4
    padded = torch.full((1, len(mel), positions * MELS_PER_POSITION), SILENCE)
    start = LEFT_PAD * MELS_PER_POSITION
    padded[0, :, start : start + frames] = torch.from_numpy(mel.astype(np.float32))
    start = LEFT_PAD * FRAMES_PER_POSITION + PHONE_DELAY
    return model.encode(padded)[0][0, start : start + frames // 2]


def regress(head: torch.nn.Linear, frames: Tensor, phones: Tensor) -> None:
    """Fit the head to frames [n, dim] and their phones [n] by AdamW, the rate falling linearly."""
    optimizer = torch.optim.AdamW(head.parameters(), weight_decay=WEIGHT_DECAY)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = PEAK_RATE * (1 - step / STEPS)
        rows = torch.randint(len(frames), (ROWS,))
        F.cross_entropy(head(frames[rows]), phones[rows]).backward()
        optimizer.step()
        optimizer.zero_grad()
