"""Stage `align`: each training prompt aligned with the same sentence spoken by flite.

flite's word and phone times are known; dynamic time warping (DTW) maps them to the recording.
"""

from pathlib import Path

import numpy as np
from tqdm import tqdm

from tiny.training import alignment, recordings, speech
from tiny.training.alignment import Alignment
from tiny.training.logmel import BINS, logmel
from tiny.training.speech import TimedWord, Utterance
from tiny.training.split import load_split, refuse_held_out
from tiny.training.workspace import Workspace

FPS = 100  # mel frames per second
CEPSTRA = range(1, 14)
HOLD = 0.6  # cost of a frame of the reference that lasts no time in the recording


def output(work: Workspace) -> Path:
    """The alignment of the training prompts."""
    return work.path("alignment-dtw.json")


def run(work: Workspace) -> str:
    """Align every training prompt that flite speaks with the words of its transcript."""
    spoken = speech.read(work.needs(speech.reference_path(work), "speak"))
    by_name = {utterance.wav.stem: utterance for utterance in spoken}
    keys = load_split().training(recordings.keys(work))
    refuse_held_out(keys)
    found = {}
    for key in tqdm(keys, desc="align", unit="clip"):
        reference = by_name.get(speech.name(key))
        if reference:
            found[key] = align(recordings.load_float(work, key), reference)
    alignment.save(output(work), found)
    return f"{len(found)} prompts"


def align(samples: np.ndarray, reference: Utterance) -> Alignment:
    """Map the reference's times to the recording `samples` (float32 [n], 16 kHz)."""
    mel, reference_mel = logmel(samples), logmel(reference.samples())
    start, end = speech_frames(mel)
    words = reference.words
    first, last = int(words[0][1] * FPS), int(words[-1][2] * FPS) + 2
    recorded, spoken = features(mel)[start:end], features(reference_mel)[first:last]
    distance = np.sqrt(((recorded[:, None] - spoken[None]) ** 2).sum(-1))
    path = warp(distance)

    def mapped(time: float) -> float:
        frame = np.clip(int(time * FPS) - first, 0, len(path) - 1)
        return float(path[frame] + start) / FPS

    timed = [(word, mapped(a), mapped(b)) for word, a, b in words]
    timed[-1] = (timed[-1][0], timed[-1][1], end / FPS)
    return Alignment(
        [without_silence(word, mel) for word in timed],
        [(phone, mapped(b)) for phone, b in reference.phones],
        start / FPS,
        end / FPS,
    )


def speech_frames(mel: np.ndarray) -> tuple[int, int]:
    """First and last frame of speech in a log-mel [128, frames], found by energy."""
    energy = mel.mean(0)
    loud = np.flatnonzero(energy > np.percentile(energy, 95) - 0.62)
    return max(0, int(loud[0]) - 3), min(len(energy), int(loud[-1]) + 6)


def without_silence(word: TimedWord, mel: np.ndarray) -> TimedWord:
    """The word with its end walked back over silent frames, but not below 80 ms of length."""
    text, start, end = word
    energy = mel.mean(0)
    threshold = np.percentile(energy, 95) - 0.55
    frame = min(int(end * FPS), len(energy) - 1)
    while frame > int(start * FPS) + 8 and energy[frame] < threshold:
        frame -= 1
    return text, start, min(end, frame / FPS + 0.03)


def features(mel: np.ndarray) -> np.ndarray:
    """Log-mel [128, frames] to [frames, 27]: normalised cepstra, their slopes, energy."""
    cepstra = dct_matrix() @ mel
    energy = mel.mean(0)
    loud = cepstra[:, energy > np.percentile(energy, 95) - 0.75]
    cepstra = (cepstra - loud.mean(1, keepdims=True)) / (loud.std(1, keepdims=True) + 1e-3)
    slopes = np.zeros_like(cepstra)
    slopes[:, 2:-2] = (cepstra[:, 4:] - cepstra[:, :-4]) / 2
    level = np.clip((energy - np.percentile(energy, 95)) / 0.5, -2.5, 0.5)
    return np.concatenate([cepstra, 0.7 * slopes, 2.0 * level[None]]).T


def dct_matrix() -> np.ndarray:
    """Rows `CEPSTRA` of the orthonormal DCT-II, [13, 128]."""
    angles = np.outer(CEPSTRA, np.arange(BINS) + 0.5) * np.pi / BINS
    return np.sqrt(2 / BINS) * np.cos(angles)


def warp(distance: np.ndarray) -> np.ndarray:
    """DTW over distances [n, m]: for each of the m columns, the row it is matched with, int [m].

    Steps to the next row cost the distance, with or without a step to the next column; a step to
    the next column alone costs `HOLD` of it.
    """
    n, m = distance.shape
    total = np.full((n + 1, m + 1), np.inf)
    total[0, 0] = 0
    for i in range(n):
        enter = np.minimum(total[i, :-1], total[i, 1:]) + distance[i]
        held = np.cumsum(HOLD * distance[i])  # so that the running minimum below is one call
        total[i + 1, 1:] = np.minimum.accumulate(enter - held) + held
    rows = np.zeros(m, int)
    i, j = n, m
    while i > 0 and j > 0:
        rows[j - 1] = i - 1
        here = distance[i - 1, j - 1]
        steps = {
            (1, 1): total[i - 1, j - 1] + here,
            (1, 0): total[i - 1, j] + here,
            (0, 1): total[i, j - 1] + HOLD * here,
        }
        down, right = min(steps, key=lambda step: steps[step])
        i, j = i - down, j - right
    return rows
