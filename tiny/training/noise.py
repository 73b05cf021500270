"""Noise made as sound: white, pink and brown, with resonances, with mains hum."""

from functools import cache

import numpy as np

from tiny.training.logmel import RATE, logmel

SECONDS = 64
KINDS = 12
SLOPES = (0.0, 0.0, 0.5, 1.0, 0.25, 0.75)  # the amplitude falls with the frequency to this power
MAINS = 60  # Hz
SEED = 11


@cache
def noises() -> np.ndarray:
    """Log10 of the mel power of every kind, float32 [12, 128, 6400], each with a mean of 0."""
    rng = np.random.default_rng(SEED)
    powers = np.stack([4 * logmel(noise(kind, rng)) - 4 for kind in range(KINDS)])
    return powers - powers.mean((1, 2), keepdims=True)


def noise(kind: int, rng: np.random.Generator) -> np.ndarray:
    """64 s of one kind of noise, float32 [n], with a standard deviation of 1 (before the hum)."""
    n = SECONDS * RATE
    frequencies = np.fft.rfftfreq(n, 1 / RATE) + 20
    spectrum = np.fft.rfft(rng.standard_normal(n)) * frequencies ** -SLOPES[kind % len(SLOPES)]
    if kind >= KINDS // 2:
        for centre in rng.uniform(100, 6000, 3):
            spectrum *= 1 + 4 / (1 + ((frequencies - centre) / (0.15 * centre)) ** 2)
    sound = np.fft.irfft(spectrum, n)
    sound /= sound.std()
    if kind % 4 == 3:
        sound += hum(n)
    return sound.astype(np.float32)


def hum(n: int) -> np.ndarray:
    """Mains hum with eight harmonics, float64 [n]."""
    angle = 2 * np.pi * MAINS * np.arange(n) / RATE
    return sum((np.sin(k * angle + k) / k for k in range(1, 9)), start=np.zeros(n))
