"""A job: one clip, heard by one model at one delay; and its result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from .scores import Scores

Floats = np.typing.NDArray[np.float32]
Flags = np.typing.NDArray[np.bool_]
UNQUANTIZED = "unquantized"
"""The name of the source itself, as a model."""


@dataclass(frozen=True)
class Model:
    """Weights that hear clips."""

    name: str
    """The recipe's name, or UNQUANTIZED."""
    folder: Path
    digest: str
    """sha256 over all files that determine what it writes."""
    repo: str | None = None
    """Where another machine can load the same weights: `owner/name@revision`."""
    absent: str | None = None
    """Why it hears nothing on this machine, if its weights are not here: only what was kept is known."""


@dataclass(frozen=True)
class Reference:
    """What the unquantized source wrote for a clip at a delay, and how sure it was."""

    tokens: tuple[int, ...]
    """One for each position after the prompt."""
    scores: Path
    """The file of its scores at these positions: see `scores.py`."""
    digest: str
    """sha256 of that file."""


@dataclass(frozen=True)
class Job:
    """A clip, the model that hears it, and what to compare with."""

    model: Model
    name: str
    """The clip's: set/file."""
    path: Path
    sha256: str
    """Of the recording's file."""
    delay_ms: float
    reference: Reference | None = None
    """None: the model is the source itself, and its scores are kept."""


@dataclass(frozen=True)
class Result:
    """What a model wrote for a clip, and how near it was to the source."""

    text: str
    tokens: tuple[int, ...]
    seconds: float
    """Of audio."""
    kl: Floats | None = None
    """KL(source || model) at each position of the reference, in nats [positions]; NaN: not finite."""
    same: Flags | None = None
    """Whether both have the same likeliest token [positions]."""
    scores: Scores | None = None
    """The scores to keep, of a job without a reference."""


class Runner(Protocol):
    """What computes jobs: this process, or a cluster."""

    def run(self, jobs: Sequence[Job]) -> Iterator[tuple[Job, Result]]:
        """Each job once with its result, in any order. Raises AudioError, VoxbuildError."""
