"""Sound that is not as clean as the recordings: noise, reverberation, other levels, no speech."""

from collections.abc import Callable
from functools import partial

import numpy as np

from tiny.training.logmel import RATE

SEED = 7
SPEECH = 0.01  # amplitude above which a sample counts as speech
REVERBERATION = 0.3  # seconds in which the tail falls by 60 dB
SECONDS = 30  # of silence or noise without speech


def noisy(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Samples with white noise, its level so many decibels below that of the speech."""
    level = np.sqrt((samples[np.abs(samples) > SPEECH] ** 2).mean())
    return samples + white(len(samples), 20 * np.log10(level) - decibels, SEED)


def white(count: int, decibels: float, seed: int) -> np.ndarray:
    """White noise, float32 [count]; `decibels` of its RMS relative to full scale."""
    noise = np.random.default_rng(seed).standard_normal(count)
    return (10 ** (decibels / 20) * noise).astype(np.float32)


def reverberated(samples: np.ndarray) -> np.ndarray:
    """Samples with a decaying tail of noise, 6 dB below the direct sound."""
    count = round(REVERBERATION * RATE)
    tail = np.random.default_rng(SEED).standard_normal(count)
    tail *= 10 ** (-3 * np.arange(count) / count)
    tail[: RATE // 500] = 0
    tail *= np.sqrt(0.25 / (tail**2).sum())
    tail[0] = 1
    return np.convolve(samples, tail)[: len(samples)].astype(np.float32)


def amplified(samples: np.ndarray, decibels: float) -> np.ndarray:
    """Samples at another level."""
    return samples * np.float32(10 ** (decibels / 20))


DISTURBANCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "noise at -20 dB": partial(noisy, decibels=20),
    "noise at -10 dB": partial(noisy, decibels=10),
    "reverberation": reverberated,
    "20 dB quieter": partial(amplified, decibels=-20),
    "6 dB louder": partial(amplified, decibels=6),
}


def without_speech() -> dict[str, np.ndarray]:
    """Half a minute of silence, and of white noise at three levels."""
    count = SECONDS * RATE
    noises = {f"white noise at {db} dB": white(count, db, seed=1) for db in (-60, -40, -20)}
    return {"silence": np.zeros(count, np.float32)} | noises
