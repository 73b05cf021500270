"""Stage `more-clips`: two further clip sets of training recordings, too large to be committed.

`development` is what the settings of a method are chosen on, so that the clips which validate stay
unseen; `calibration-5min` is more to calibrate on than tiny/clips/calibration. Samples are
untouched. No recording and no text is in two sets, the committed ones included.
"""

import random
from pathlib import Path

import numpy as np

from tiny.training import recordings, transcripts
from tiny.training.clips import RATE, SEED, Clip, Load, apart, calibration, taken, write
from tiny.training.split import load_split, refuse_copies
from tiny.training.workspace import Workspace, written_whole

DEVELOPMENT_SECONDS = 180.0
DEVELOPMENT_WORDS = range(3, 17)  # in each clip
CALIBRATION_SECONDS = 300.0


def output(work: Workspace) -> Path:
    """The folder of both sets."""
    return work.data / "clips"


def run(work: Workspace) -> str:
    """Write both sets."""

    def load(key: str) -> np.ndarray:
        return recordings.load(work, key)

    sets = drawn(load, transcripts.load(work))
    with written_whole(output(work)) as folder:
        for name, clips in sets.items():
            write(folder / name, clips)
    return ", ".join(f"{name}: {_summary(clips)}" for name, clips in sets.items())


def _summary(clips: dict[str, Clip]) -> str:
    seconds = sum(len(samples) for samples, _ in clips.values()) / RATE
    return f"{len(clips)} clips, {seconds:.0f} s"


def drawn(load: Load, texts: dict[str, str]) -> dict[str, dict[str, Clip]]:
    """The clips of `development` and `calibration-5min`; `texts` are all there are, by key.

    Each text is there once. Single words are drawn only where the rest does not last long enough.
    Raises HeldOutError.
    """
    rng = random.Random(SEED)
    committed = calibration(load, texts)
    free = _once(apart(texts), texts, {text for _, text in committed.values()})
    free = rng.sample(free, len(free))
    long_enough = [key for key in free if len(texts[key].split()) in DEVELOPMENT_WORDS]
    development = taken(long_enough, DEVELOPMENT_SECONDS, load, texts)
    rest = [key for key in free if key not in development]
    rest.sort(key=lambda key: " " not in texts[key])  # keeps the order otherwise
    more = taken(rest, CALIBRATION_SECONDS, load, texts)
    reported = {key: load(key) for key in load_split().reported}
    refuse_copies(_samples(development), reported | _samples(committed))
    refuse_copies(_samples(more), reported | _samples(committed) | _samples(development))
    return {"development": development, "calibration-5min": more}


def _once(keys: list[str], texts: dict[str, str], used: set[str]) -> list[str]:
    """The first key of each text that is not used."""
    first = {texts[key]: key for key in reversed(keys) if texts[key] not in used}
    return sorted(first.values())


def _samples(clips: dict[str, Clip]) -> dict[str, np.ndarray]:
    return {key: samples for key, (samples, _) in clips.items()}
