"""Stage `features`: log-mels of all training audio; real prompts at nine speeds, synthetic at one.

Held-out clips are refused: by key, and by comparing samples, so that no copy slips in either.
"""

import random
from pathlib import Path

import numpy as np
import soxr
from tqdm import tqdm

from tiny.training import align, alignment, recordings, speech
from tiny.training.config import SPEEDS
from tiny.training.logmel import RATE, logmel
from tiny.training.split import load_split, refuse_copies, refuse_held_out
from tiny.training.workspace import Workspace, written_whole

Mels = dict[tuple[str, float], np.ndarray]  # (key, speed) -> log-mel float16 [128, frames]


def real_path(work: Workspace) -> Path:
    """The log-mels of the recordings."""
    return work.path("mels-real.npz")


def output(work: Workspace) -> Path:
    """The log-mels of the synthetic sentences; the last file the stage writes."""
    return work.path("mels-synthetic.npz")


def run(work: Workspace) -> str:
    """Write both files of log-mels."""
    keys = list(alignment.load(work.needs(align.output(work), "align")))
    refuse_held_out(keys)
    training = {key: recordings.load(work, key) for key in keys}
    refuse_copies(training, {key: recordings.load(work, key) for key in load_split().held_out})
    real = {
        (key, speed): mel_at(training[key].astype(np.float32) / 32768, speed)
        for key in tqdm(keys, desc="real", unit="clip")
        for speed in SPEEDS
    }
    save(real_path(work), real)

    rng = random.Random(3)
    spoken = speech.read(work.needs(speech.output(work), "speak"))
    synthetic = {}
    for utterance in tqdm(spoken, desc="synthetic", unit="clip"):
        speed = rng.choice((0.94, 1.0, 1.06) if utterance.voice == "slt" else (0.9, 1.0, 1.0, 1.1))
        synthetic[utterance.wav.stem, speed] = mel_at(utterance.samples(), speed)
    save(output(work), synthetic)
    seconds = sum(real[key, 1.0].shape[1] for key in keys) / 100
    return f"{len(keys)} prompts ({seconds / 60:.1f} minutes), {len(synthetic)} sentences"


def mel_at(samples: np.ndarray, speed: float) -> np.ndarray:
    """Log-mel, float16 [128, frames], of float samples played `speed` times faster."""
    if speed != 1.0:
        samples = soxr.resample(samples, int(RATE * speed), RATE)
    return logmel(samples).astype(np.float16)


def save(path: Path, mels: Mels) -> None:
    """Write {(key, speed): log-mel}; held-out keys are refused."""
    refuse_held_out(key for key, _ in mels)
    with written_whole(path) as part, part.open("wb") as file:
        np.savez(file, **{f"{key}@{speed}": mel for (key, speed), mel in mels.items()})


def load(path: Path) -> Mels:
    """Read {(key, speed): log-mel}; held-out keys are refused."""
    with np.load(path) as file:
        pairs = ((name.rsplit("@", 1), file[name]) for name in file.files)
        mels = {(key, float(speed)): mel for (key, speed), mel in pairs}
    refuse_held_out(key for key, _ in mels)
    return mels
