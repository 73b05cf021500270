"""Stage `clips`: the committed test clips in tiny/clips, made again from the recordings.

Four folders of 16 kHz mono 16-bit FLAC, each with a `transcripts.tsv` (file TAB text, no header):
prompts (the 35 validation clips, samples untouched), digits (strings of single training digits),
chains (validation clips one after the other, 20-60 s) and calibration (the development clips,
samples untouched, that share no recording and no text with the other three). Seeded, so every run
gives the same samples; the FLAC bytes depend on the encoder's version.
"""

import random
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from tiny.training import recordings, transcripts
from tiny.training.recordings import RATE
from tiny.training.split import load_split, refuse_held_out, refuse_reported
from tiny.training.transcripts import DIGITS
from tiny.training.workspace import TINY, Workspace

CLIPS = TINY / "clips"
DIGIT_STRINGS = 8
DIGIT_GAP = (0.0, 0.25)  # seconds
CHAIN_SECONDS = (20.0, 21.0, 22.0, 23.0, 41.0)  # a chain ends with the clip that passes its length
CHAIN_GAP = (0.2, 0.9)  # seconds
SEED = 2602

Clip = tuple[np.ndarray, str]  # int16 samples and transcript
Load = Callable[[str], np.ndarray]  # recording key -> int16 samples


def output(work: Workspace) -> None:
    """Always made anew when asked for: the files are small and committed."""
    return None


def run(work: Workspace) -> None:
    """Write all four folders below tiny/clips."""

    def load(key: str) -> np.ndarray:
        return recordings.load(work, key)

    write(CLIPS / "prompts", prompts(load))
    write(CLIPS / "digits", digit_strings(load))
    write(CLIPS / "chains", chains(load))
    write(CLIPS / "calibration", calibration(load, transcripts.load(work)))


def prompts(load: Load) -> dict[str, Clip]:
    """The validation clips as they are."""
    return {key: (load(key), text) for key, text in load_split().validation.items()}


def digit_strings(load: Load) -> dict[str, Clip]:
    """Strings of 3-8 digits with short gaps. The digits are training recordings."""
    rng = random.Random(SEED)
    refuse_held_out(f"digits/{digit}" for digit in range(10))
    spoken = {digit: trimmed(load(f"digits/{digit}")) for digit in range(10)}
    clips = {}
    for number in range(1, DIGIT_STRINGS + 1):
        drawn = [rng.randrange(10) for _ in range(rng.randint(3, 8))]
        samples = joined([spoken[digit] for digit in drawn], DIGIT_GAP, rng)
        clips[f"digits-{number}"] = samples, " ".join(DIGITS[digit] for digit in drawn)
    return clips


def chains(load: Load) -> dict[str, Clip]:
    """Long clips of validation clips; all of these are used once before one is used twice."""
    rng = random.Random(SEED)
    validation = load_split().validation
    spoken = {key: trimmed(load(key)) for key in validation}
    deck: list[str] = []
    clips = {}
    for number, seconds in enumerate(CHAIN_SECONDS, start=1):
        drawn: list[str] = []
        samples = np.zeros(0, np.int16)
        while len(samples) < seconds * RATE:
            deck = deck or rng.sample(sorted(validation), len(validation))
            drawn.append(deck.pop())
            samples = joined(
                [samples, spoken[drawn[-1]]], CHAIN_GAP if len(drawn) > 1 else (0, 0), rng
            )
        clips[f"chain-{number}"] = samples, " ".join(validation[key] for key in drawn)
    return clips


def calibration(load: Load, texts: dict[str, str]) -> dict[str, Clip]:
    """The development clips as they are, but those with a validation clip's text in them.

    `texts` are all, by key. What a model was trained on may say little about its inputs in
    other recordings.
    """
    split = load_split()
    keys = [
        key for key in split.development if not _contains(texts[key], split.validation.values())
    ]
    refuse_reported(keys)
    return {key: (load(key), texts[key]) for key in keys}


def apart(texts: dict[str, str]) -> list[str]:
    """Keys of the recordings, sorted, that no test clip shares anything with.

    Left out: single words and digits (the keys with a folder), and whatever has the text of a
    validation or reserved clip in it.
    """
    split = load_split()
    reported = {texts[key] for key in split.reported} | set(split.validation.values())
    return [
        key
        for key in sorted(texts.keys() - split.reported)
        if "/" not in key and not _contains(texts[key], reported)
    ]


def _contains(text: str, others: Iterable[str]) -> bool:
    """Whether one of other texts stands in this one, word for word."""
    return any(f" {other} " in f" {text} " for other in others)


def taken(
    keys: Iterable[str], seconds: float, load: Load, texts: dict[str, str]
) -> dict[str, Clip]:
    """The first of these recordings that together last so long; raises HeldOutError."""
    clips: dict[str, Clip] = {}
    heard = 0.0
    for key in keys:
        if heard >= seconds:
            break
        clips[key] = load(key), texts[key]
        heard += len(clips[key][0]) / RATE
    refuse_reported(clips)
    return clips


def joined(pieces: list[np.ndarray], gap: tuple[float, float], rng: random.Random) -> np.ndarray:
    """The pieces with random digital silence between them, `gap` in seconds."""
    parts = [pieces[0]]
    for piece in pieces[1:]:
        parts += [np.zeros(round(rng.uniform(*gap) * RATE), np.int16), piece]
    return np.concatenate(parts)


def trimmed(samples: np.ndarray, floor: float = 35.0) -> np.ndarray:
    """The speech of a clip, found by energy, with 50 ms before and 100 ms behind it.

    A 10 ms frame is speech if it is at most `floor` dB below the loud frames (95th percentile).
    """
    hop = RATE // 100
    frames = samples[: len(samples) // hop * hop].reshape(-1, hop).astype(np.float64)
    level = 10 * np.log10((frames**2).mean(1) + 1)
    speech = np.flatnonzero(level > np.percentile(level, 95) - floor)
    start = max(0, speech[0] * hop - RATE * 50 // 1000)
    end = (speech[-1] + 1) * hop + RATE * 100 // 1000
    return samples[start:end]


def write(folder: Path, clips: dict[str, Clip]) -> None:
    """Write `<name>.flac` for every clip, and transcripts.tsv, sorted by file."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for name, (samples, text) in tqdm(sorted(clips.items()), desc=folder.name, unit="clip"):
        soundfile.write(folder / f"{name}.flac", samples, RATE, "PCM_16", compression_level=1.0)
        lines.append(f"{name}.flac\t{text}\n")
    (folder / "transcripts.tsv").write_text("".join(sorted(lines)), encoding="utf-8", newline="\n")
