"""What a recording is, and what a listener must make of it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .sounds import RATE

UNKNOWN = math.nan
"""Seconds that are lost, but how many cannot be known."""
ANY = -1.0
"""The container cannot tell whether it is complete: both are right."""
Make = Callable[[], bytes]


@dataclass(frozen=True)
class Recording:
    """A recording: its bytes, and what is to be heard of it."""

    name: str
    about: str
    make: Make = field(repr=False)
    sound: np.ndarray | None = field(default=None, repr=False)
    """Samples [n] at 16 kHz that it holds; None: not known sample by sample."""
    exact: bool = False
    """Whether these very samples must be heard; else their number within `within`, and their loudness."""
    seconds: float | None = None
    """Seconds of sound in it; None: it must be refused."""
    within: float = 0.0
    """Seconds by which what is heard may differ: of lossy codecs the padding."""
    lost: float = 0.0
    """Seconds that must be told as lost, within 0.2; 0: nothing may be told; UNKNOWN: told, with a
    figure or without; ANY: told or not."""

    @property
    def refused(self) -> bool:
        """Whether nothing can be heard."""
        return self.seconds is None


PADDING = 0.15
"""Seconds that a lossy codec may add or cut at both ends together."""


def exact(name: str, about: str, make: Make, sound: np.ndarray) -> Recording:
    """All samples must be heard as they are."""
    return Recording(name, about, make, sound, True, len(sound) / RATE)


def lossy(name: str, about: str, make: Make, sound: np.ndarray, within: float = PADDING) -> Recording:
    """As long as the sound, and as loud at each moment."""
    return Recording(name, about, make, sound, False, len(sound) / RATE, within)


def partial(name: str, about: str, make: Make, seconds: float, within: float, lost: float) -> Recording:
    """Some of its sound is missing."""
    return Recording(name, about, make, None, False, seconds, within, lost)


def refused(name: str, about: str, make: Make) -> Recording:
    """Nothing can be heard: one line says so."""
    return Recording(name, about, make)
