"""The held-out recordings, and the guard that keeps them out of every training set."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from tiny.training.errors import TrainingError
from tiny.training.workspace import TRAINING


class HeldOutError(TrainingError):
    """A held-out recording, or a copy of one, was about to be used."""


@dataclass(frozen=True)
class Split:
    """`validation`: key -> transcript of 35 clips. `reserved`: keys of 20 more, to use rarely.

    Figures are reported on these two groups. `development`: keys of 32 recordings by which settings
    are chosen; the first and the second edition were trained on them.
    """

    validation: dict[str, str]
    reserved: tuple[str, ...]
    development: tuple[str, ...]

    @property
    def reported(self) -> frozenset[str]:
        """The keys of which figures are reported: neither trained nor chosen on."""
        return frozenset(self.validation) | frozenset(self.reserved)

    @property
    def held_out(self) -> frozenset[str]:
        """All keys that may not be trained on."""
        return self.reported | frozenset(self.development)

    def training(self, keys: Iterable[str]) -> list[str]:
        """The keys that may be trained on, in their order."""
        return [key for key in keys if key not in self.held_out]


@cache
def load_split() -> Split:
    """The committed split.json."""
    split = json.loads((TRAINING / "split.json").read_text(encoding="utf-8"))
    return Split(split["validation"], tuple(split["reserved"]), tuple(split["development"]))


def refuse_held_out(keys: Iterable[str]) -> None:
    """Raise `HeldOutError` if any recording key is held out; call it wherever data is assembled."""
    _refuse(keys, load_split().held_out, "training data")


def refuse_reported(keys: Iterable[str]) -> None:
    """Raise `HeldOutError` if figures are reported of any recording key; for other clip sets."""
    _refuse(keys, load_split().reported, "a clip set")


def _refuse(keys: Iterable[str], refused: frozenset[str], where: str) -> None:
    found = sorted(set(keys) & refused)
    if found:
        raise HeldOutError(f"held-out clips in {where}: {', '.join(found)}")


def refuse_copies(training: dict[str, np.ndarray], held_out: dict[str, np.ndarray]) -> None:
    """Raise `HeldOutError` if a training recording has the very samples of a held-out one."""
    known = {_digest(samples): key for key, samples in held_out.items()}
    for key, samples in training.items():
        original = known.get(_digest(samples))
        if original:
            raise HeldOutError(f"the training recording {key} is a copy of the held-out {original}")


def _digest(samples: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()
