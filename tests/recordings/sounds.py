"""The sounds that the recordings hold: committed clips, mono float32 at 16 kHz, exact in 16 bits."""

from functools import cache
from pathlib import Path

import numpy as np
import soundfile

CLIPS = Path(__file__).resolve().parents[2] / "tiny" / "clips"
RATE = 16000


@cache
def clip(name: str) -> np.ndarray:
    """Samples [n] of a committed clip, `prompts/please-try-again` for instance."""
    samples, rate = soundfile.read(CLIPS / f"{name}.flac", dtype="float32")
    assert rate == RATE
    samples.flags.writeable = False
    return samples


def phrase() -> np.ndarray:
    """2.1 s."""
    return clip("prompts/vm-leavemsg")


def other() -> np.ndarray:
    """Another phrase, 1.5 s."""
    return clip("prompts/to-call-this-number")


def digits() -> np.ndarray:
    """7.2 s, for damage in the middle."""
    return clip("digits/digits-3")


def seconds(*sounds: np.ndarray, rate: int = RATE) -> float:
    """Length of all of them together."""
    return sum(len(sound) for sound in sounds) / rate


def at_rate(samples: np.ndarray, rate: int) -> np.ndarray:
    """The same samples at another rate, for recordings that must be at that rate."""
    import soxr

    return samples if rate == RATE else soxr.resample(samples, RATE, rate).astype(np.float32)


def in_channels(samples: np.ndarray, channels: int) -> np.ndarray:
    """[n] -> [n, channels], all alike."""
    return np.repeat(samples[:, None], channels, axis=1)
