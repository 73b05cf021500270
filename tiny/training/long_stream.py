"""One long stream of validation clips, and the word error rate in each of its minutes."""

import random
from collections import Counter
from dataclasses import dataclass

import jiwer
import numpy as np

from tiny.training.clips import CHAIN_GAP, joined, trimmed
from tiny.training.logmel import RATE

SEED = 5


@dataclass(frozen=True)
class Stream:
    """int16 `samples`, the `words` said, and for each of them when its clip `ends`, in seconds."""

    samples: np.ndarray
    words: list[str]
    ends: list[float]


def long_stream(clips: dict[str, tuple[np.ndarray, str]], seconds: float) -> Stream:
    """Clips (int16 samples, text) in random order with random gaps, until the stream is long."""
    rng = random.Random(SEED)
    samples = np.zeros(0, np.int16)
    words: list[str] = []
    ends: list[float] = []
    deck: list[str] = []
    while len(samples) < seconds * RATE:
        deck = deck or rng.sample(sorted(clips), len(clips))
        sound, text = clips[deck.pop()]
        samples = joined([samples, trimmed(sound)], CHAIN_GAP, rng)
        words += text.split()
        ends += [len(samples) / RATE] * len(text.split())
    return Stream(samples, words, ends)


def error_rates(stream: Stream, heard: str) -> tuple[float, list[float]]:
    """Word error rates in percent: of all of the stream, and of each minute.

    An error belongs to the minute in which the clip of its word ends; an inserted word to that of
    the word before which it stands.
    """
    found = jiwer.process_words(" ".join(stream.words), heard)
    minutes = [int(end // 60) for end in stream.ends]
    errors: Counter[int] = Counter()
    for chunk in found.alignments[0]:
        if chunk.type == "insert":
            at = minutes[min(chunk.ref_start_idx, len(minutes) - 1)]
            errors[at] += chunk.hyp_end_idx - chunk.hyp_start_idx
        elif chunk.type != "equal":
            errors.update(minutes[chunk.ref_start_idx : chunk.ref_end_idx])
    said = Counter(minutes)
    return 100 * found.wer, [100 * errors[minute] / said[minute] for minute in sorted(said)]
