"""Speech without end, made as it is asked for: the committed clips, shuffled, with pauses."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile

PAUSE = (0.3, 3.0)
"""Seconds between two clips; half of it belongs to each."""
LONG_PAUSE = 60.0
LONG_PAUSE_EVERY = 40
"""One pause in so many is long, by chance."""
NOISE = 3e-4
"""Amplitude of the faintest and most usual of room noises; every second pause is digital silence."""


@dataclass(frozen=True)
class Piece:
    """A clip with its share of the pauses around it."""

    name: str
    said: str
    samples: np.ndarray
    sound_end: int
    """Sample at which the clip ends and the pause begins."""


@dataclass(frozen=True)
class Speech:
    """The `index`-th piece is always the same, so that a stream can be heard again in parts."""

    folder: Path
    rate: int
    seed: int = 0

    @cached_property
    def _clips(self) -> list[tuple[Path, str]]:
        clips = []
        for table in sorted(self.folder.glob("*/transcripts.tsv")):
            with table.open(encoding="utf-8", newline="") as file:
                clips += [(table.parent / row[0], row[1]) for row in csv.reader(file, delimiter="\t")]
        return clips

    def piece(self, index: int) -> Piece:
        """Read from disk each time: nothing is kept."""
        turn, place = divmod(index, len(self._clips))
        order = np.random.default_rng([self.seed, turn]).permutation(len(self._clips))
        path, said = self._clips[order[place]]
        clip, rate = soundfile.read(path, dtype="float32")
        assert rate == self.rate, f"{path}: {rate} Hz"
        random = np.random.default_rng([self.seed, turn, place])
        before, after = self._pause(random), self._pause(random)
        name = f"{path.parent.name}/{path.stem}"
        return Piece(name, said, np.concatenate([before, clip, after]), len(before) + len(clip))

    def _pause(self, random: np.random.Generator) -> np.ndarray:
        """Half a pause."""
        long = random.random() < 1 / (2 * LONG_PAUSE_EVERY)
        seconds = LONG_PAUSE if long else random.uniform(*PAUSE) / 2
        amplitude = NOISE * random.integers(2)
        noise: np.ndarray = amplitude * random.standard_normal(round(seconds * self.rate))
        return noise.astype(np.float32)

    def blocks(self, size: int) -> Iterator[np.ndarray]:
        """All pieces one after the other, in blocks of `size` samples."""
        rest, index = np.zeros(0, np.float32), 0
        while True:
            while len(rest) < size:
                rest, index = np.concatenate([rest, self.piece(index).samples]), index + 1
            block, rest = rest[:size], rest[size:]
            yield block
