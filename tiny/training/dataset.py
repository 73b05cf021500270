"""The training clips in memory: log-mels with their words and phones."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from tiny.training import alignment, features, speech, tokenizer
from tiny.training.alignment import Alignment
from tiny.training.config import PHONES, SPEEDS
from tiny.training.split import refuse_held_out
from tiny.training.workspace import Workspace

PHONE_IDS = {phone: number for number, phone in enumerate(PHONES)}
FPS = 100  # mel frames per second


@dataclass(frozen=True)
class Word:
    """Times in seconds from the first mel frame; `tokens` with a leading space."""

    start: float
    end: float
    tokens: list[int]


@dataclass(frozen=True)
class Take:
    """One recording at one speed: `mel` float16 [128, frames], `phones` uint8 [frames]."""

    mel: np.ndarray
    phones: np.ndarray
    words: list[Word]
    start: float  # of speech, in seconds
    end: float


@dataclass(frozen=True)
class Dataset:
    """`real`: recording key -> its takes in the order of SPEEDS. `synthetic`: one take each."""

    real: dict[str, list[Take]]
    synthetic: list[Take]

    def __post_init__(self) -> None:
        refuse_held_out(self.real)


def load_dataset(work: Workspace, labels: str) -> Dataset:
    """All training clips; `labels` is "dtw" or "viterbi", the alignment of the real ones."""
    tekken_path, aligned_path, real_path, synthetic_path = inputs(work, labels)
    tekken = Tekkenizer.from_file(str(tekken_path))
    mels = features.load(real_path)
    real = {
        key: [make_take(mels[key, speed], times, speed, tekken) for speed in SPEEDS]
        for key, times in alignment.load(aligned_path).items()
    }
    mels = features.load(synthetic_path)
    times = {x.wav.stem: alignment.of_utterance(x) for x in speech.read(speech.output(work))}
    synthetic = [make_take(mel, times[key], speed, tekken) for (key, speed), mel in mels.items()]
    return Dataset(real, synthetic)


def inputs(work: Workspace, labels: str) -> tuple[Path, Path, Path, Path]:
    """The data set's files: tokenizer, alignment, log-mels of real and of synthetic speech."""
    return (
        work.needs(tokenizer.output(work), "tokenizer"),
        work.needs(
            work.path(f"alignment-{labels}.json"), "align" if labels == "dtw" else "realign"
        ),
        work.needs(features.real_path(work), "features"),
        work.needs(features.output(work), "features"),
    )


def make_take(mel: np.ndarray, aligned: Alignment, speed: float, tekken: Tekkenizer) -> Take:
    """The log-mel with the labels of its recording, made `speed` times faster."""
    times = aligned.faster(speed)
    phones = np.full(mel.shape[1], PHONE_IDS["pau"], np.uint8)
    start = 0
    for phone, end in times.phones:
        phones[start : int(end * FPS)] = PHONE_IDS[phone]
        start = int(end * FPS)
    words = [
        Word(start, end, tekken.encode(f" {word}", bos=False, eos=False))
        for word, start, end in times.words
    ]
    return Take(mel, phones, words, times.start, times.end)
