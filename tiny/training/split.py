"""The held-out clips, and the guard that keeps them out of every training set."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tiny.training.errors import TrainingError
from tiny.training.workspace import TRAINING


class HeldOutError(TrainingError):
    """A held-out clip, or a copy of one, was about to be trained on."""


@dataclass(frozen=True)
class Split:
    """`validation`: key -> transcript of 35 clips. `reserved`: keys of 20 more, to use rarely."""

    validation: dict[str, str]
    reserved: tuple[str, ...]

    @property
    def held_out(self) -> frozenset[str]:
        """All keys that may not be trained on."""
        return frozenset(self.validation) | frozenset(self.reserved)

    def training(self, keys: Iterable[str]) -> list[str]:
        """The keys that may be trained on, in their order."""
        return [key for key in keys if key not in self.held_out]


@cache
def load_split() -> Split:
    """The committed split.json."""
    split = json.loads((TRAINING / "split.json").read_text(encoding="utf-8"))
    return Split(split["validation"], tuple(split["reserved"]))


def refuse_held_out(keys: Iterable[str]) -> None:
    """Raise `HeldOutError` if any recording key is held out; call it wherever data is assembled."""
    found = sorted(set(keys) & load_split().held_out)
    if found:
        raise HeldOutError(f"held-out clips in training data: {', '.join(found)}")


def refuse_copies(training: dict[str, np.ndarray], held_out: dict[str, np.ndarray]) -> None:
    """Raise `HeldOutError` if a training recording has the very samples of a held-out one."""
    known = {_digest(samples): key for key, samples in held_out.items()}
    for key, samples in training.items():
        original = known.get(_digest(samples))
        if original:
            raise HeldOutError(f"the training recording {key} is a copy of the held-out {original}")


def _digest(samples: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()
