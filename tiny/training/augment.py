"""The sound of a batch, augmented: gain, colour, reverberation, noise, band limit, masks."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tiny.training.config import Sound
from tiny.training.logmel import BINS, FLOOR
from tiny.training.noise import noises
from tiny.training.sequences import FPS, Sequence

SILENT = -12.0  # log10 of the power of no noise
TAIL = 40  # mel frames of reverberation
KNOT = 60  # mel frames between the random levels of unsteady noise
LONG = 1400  # mel frames for which three masks over time are enough


def uniform(low: float, high: float, *size: int) -> Tensor:
    """Random numbers between `low` and `high`, a tensor of `size`."""
    return torch.empty(*size).uniform_(low, high)


def chance(probability: float, *size: int) -> Tensor:
    """True with `probability`, a tensor of `size`."""
    return torch.rand(*size) < probability


def augmented(sequences: list[Sequence], sound: Sound) -> Tensor:
    """Log-mels [b, 128, frames]; what is digital silence around the sound stays so."""
    mel = torch.from_numpy(np.stack([warped(s.mel, sound.warp) for s in sequences]))
    linear = 10 ** (4 * mel - 4 + colour(len(sequences), sound.gain))
    for i in range(len(sequences)):
        if chance(sound.reverberant, 1):
            linear[i] = reverberated(linear[i])
    power = torch.log10(linear + 10 ** noise_like(sequences, sound))
    for one, sequence in zip(power, sequences, strict=True):
        mask(one, sequence.start, sequence.end, sound.masks)
        one[:, : sequence.start] = one[:, sequence.end :] = FLOOR
    return (power.clamp(min=FLOOR) + 4) / 4


def colour(count: int, gain: tuple[float, float]) -> Tensor:
    """Gain, tilt and a slow ripple over the mel bins, in log10 of the power, [count, 128, 1]."""
    line = torch.linspace(0, 1, BINS)[:, None]
    ripple = torch.cos(line * uniform(3, 15, count, 1, 1) + uniform(0, 6, count, 1, 1))
    tilt = uniform(-0.5, 0.5, count, 1, 1) * ramp()
    return uniform(*gain, count, 1, 1) + tilt + uniform(-0.4, 0.4, count, 1, 1) * ripple


def warped(mel: np.ndarray, most: float) -> np.ndarray:
    """A log-mel [128, frames] of a longer or shorter vocal tract: its bins stretched at random."""
    if not most:
        return mel
    at = np.arange(BINS) * float(uniform(1 - most, 1 + most, 1))
    low = np.minimum(at.astype(int), BINS - 2)
    share = np.minimum(at - low, 1).astype(np.float32)[:, None]
    return mel[low] * (1 - share) + mel[low + 1] * share


def ramp() -> Tensor:
    """-1 to 1 over the mel bins, [128, 1]."""
    return torch.linspace(-1, 1, BINS)[:, None]


def reverberated(linear: Tensor) -> Tensor:
    """A power [128, frames] with a decaying tail, RT60 0.15-0.5 s, 2-12 dB below the sound."""
    decay = 10 ** (-6 / (FPS * uniform(0.15, 0.5, 1)))
    tail = decay ** torch.arange(1, TAIL + 1)
    tail *= 10 ** uniform(-1.2, -0.2, 1) / tail.sum()
    kernel = torch.cat([torch.ones(1), tail]).flip(0)[None, None]
    return F.conv1d(F.pad(linear[:, None], (TAIL, 0)), kernel)[:, 0]


def noise_like(sequences: list[Sequence], sound: Sound) -> Tensor:
    """Log10 of the power of noise, [b, 128, frames]; 40 % of the sequences have none."""
    count, frames = len(sequences), sequences[0].mel.shape[1]
    level = torch.where(chance(0.6, count, 1, 1), uniform(-7, -2.6, count, 1, 1), SILENT)
    for i, sequence in enumerate(sequences):
        if not sequence.words and chance(0.7, 1):  # loud, for there is no speech to hear
            level[i] = uniform(-5, -0.7, 1)
    level = level + uniform(-1, 1, count, 1, 1) * ramp()
    if chance(sound.unsteady_noise, 1):
        knots = torch.randn(count, 1, frames // KNOT + 2) * uniform(0, 0.5, count, 1, 1)
        level = level + F.interpolate(knots, size=frames, mode="linear")
    grain = [
        made_noise(frames) if chance(sound.coloured_noise, 1) else 0.3 * torch.randn(BINS, frames)
        for _ in sequences
    ]
    return level + torch.stack(grain)


def made_noise(frames: int) -> Tensor:
    """A random stretch of one kind of noise made as sound, [128, frames]."""
    kind = noises()[_between(0, len(noises()) - 1)]
    start = _between(0, kind.shape[1] - frames)
    return torch.from_numpy(kind[:, start : start + frames])


def mask(power: Tensor, start: int, end: int, masks: float) -> None:
    """Limit the band and mask random bins and frames of one log10 power [128, frames], in place.

    Masks have the mean of the sound, which lasts from frame `start` to `end`; `masks` multiplies
    those over time.
    """
    mean = power[:, start:end].mean()
    if chance(0.15, 1):
        power[_between(95, 104) :] = FLOOR
    if chance(0.7, 1):
        for _ in range(2):
            width = _between(0, 16)
            first = _between(0, BINS - 1 - width)
            power[first : first + width] = mean
    for _ in range(_between(0, round(3 * masks * max(1, power.shape[1] / LONG)))):
        width = _between(1, 8)
        first = _between(start, max(start, end - width))
        power[:, first : first + width] = mean


def _between(low: int, high: int) -> int:
    """A random integer, both ends included."""
    return int(torch.randint(low, high + 1, ()))
