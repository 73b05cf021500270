"""The embedded model follows the delay that is asked for, and hears the fifth minute like the first.

A word is *written* at the position (80 ms each, from the beginning of the audio) at which its first text
token is decoded. A token's `end` is the time of its position less the delay: here the delay is added again. A
model that follows the delay writes each word later by what the delay is longer, and `end` stays where it was.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voxbuild.statistics.errors import count_errors
from voxbuild.statistics.normalise import normaliser_for
from voxrun.stream.results import Result
from voxrun.transcriber import Transcriber

TINY = Path(__file__).resolve().parents[2] / "tiny"
POSITION_MS, DEFAULT_MS = 80, 480
MINUTE, MINUTES = 60.0, 5
PAUSE = (0.2, 0.9)
"""Seconds between two clips of a stream."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Clip:
    """A validation clip in a stream, with the pause after it."""

    said: str
    end: float
    """Seconds."""


@cache
def transcriber() -> Transcriber:
    return Transcriber.open(TINY / "checkpoint")


@cache
def stream(seconds: float) -> tuple[np.ndarray, list[Clip]]:
    """Samples of at least so many seconds: validation clips, drawn at random, with pauses."""
    with (TINY / "clips/prompts/transcripts.tsv").open(encoding="utf-8", newline="") as file:
        texts = list(csv.reader(file, delimiter="\t"))
    random, rate = np.random.default_rng(0), transcriber().rate
    parts: list[np.ndarray] = []
    clips: list[Clip] = []
    length = 0
    while length < seconds * rate:
        name, said = texts[random.integers(len(texts))]
        sound, _ = soundfile.read(TINY / "clips/prompts" / name, dtype="float32")
        parts += [sound, np.zeros(round(random.uniform(*PAUSE) * rate), np.float32)]
        length += sum(map(len, parts[-2:]))
        clips.append(Clip(said, length / rate))
    return np.concatenate(parts), clips


@cache
def heard(seconds: float, delay_ms: int) -> list[Result]:
    """What a live session makes of a stream, fed five seconds at a time."""
    samples, _ = stream(seconds)
    session = transcriber().session(live=True, delay_ms=delay_ms)
    step = 5 * transcriber().rate
    fed = [session.feed(samples[i : i + step]) for i in range(0, len(samples), step)]
    return [*fed, session.finish()]


def written(delay_ms: int) -> tuple[list[str], np.ndarray]:
    """Each word of a minute, and the position at which it is written."""
    words = [word for result in heard(MINUTE, delay_ms) for word in result.words]
    ends = 1000 * np.array([word.tokens[0].end for word in words])
    return [word.text for word in words], np.round((ends + delay_ms) / POSITION_MS)


@pytest.mark.parametrize("delay_ms", [80, 160, 240, 960, 1200, 2400])
def test_words_are_written_later_by_what_the_delay_is_longer(delay_ms: int) -> None:
    words, at = written(DEFAULT_MS)
    others, later = written(delay_ms)
    same = SequenceMatcher(None, words, others, autojunk=False).get_matching_blocks()
    shifts = np.concatenate([later[j : j + n] - at[i : i + n] for i, j, n in same])
    assert len(shifts) > 0.8 * len(words)
    off = np.abs(shifts - (delay_ms - DEFAULT_MS) / POSITION_MS)
    assert (off <= 1).mean() >= 0.95


def wer(clips: Sequence[Clip], begin: float, results: Sequence[Result]) -> float:
    """Per cent, over the words that end in clips that follow one another from `begin` on."""
    words = [word for result in results for word in result.words if begin < word.end <= clips[-1].end]
    said, written = " ".join(clip.said for clip in clips), "".join(word.text for word in words)
    return count_errors(said, written, normaliser_for("en", digits=True)).wer


def test_the_last_of_five_minutes_is_heard_as_well_as_the_first() -> None:
    seconds = MINUTES * MINUTE
    results, (_, clips) = heard(seconds, DEFAULT_MS), stream(seconds)
    first = [clip for clip in clips if clip.end <= MINUTE]
    before = [clip for clip in clips if clip.end <= seconds - MINUTE]
    last = clips[len(before) :]
    assert wer(last, before[-1].end, results) <= wer(first, 0.0, results) + 5
