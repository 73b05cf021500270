"""Training sequences: random chains of clips and of word-aligned crops, with streaming targets.

A word that ends t seconds after the left padding is written from position 32 + 6 + floor(t / 0.08)
on: [STREAMING_WORD], then its tokens, one per position; directly after the previous word where
that one is still being written. Every other position is [STREAMING_PAD].
"""

import random
from dataclasses import dataclass

import numpy as np

from tiny.training.config import (
    DELAY,
    LEFT_PAD,
    MELS_PER_POSITION,
    PAD,
    POSITION_SECONDS,
    SILENCE,
    SPEEDS,
    WORD,
)
from tiny.training.dataset import FPS, PHONE_IDS, Dataset, Take

MARGIN = 12  # mel frames of a clip kept around its speech, at most
GAPS = (0.02, 0.1, 0.3, 0.8, 1.2)  # the longest gap of a sequence in seconds, drawn from
SHORTEST = 150  # mel frames of a sequence that is not filled
MOST_DIGITS = 9  # clips in a string of digits
MODES = {"digits": 0.16, "letters": 0.05, "phonetic": 0.03, "numbers": 0.06, "prompts": 0.70}


@dataclass(frozen=True)
class Piece:
    """A clip or a crop: `mel` [128, frames], `phones` [frames], words as (end in s, tokens)."""

    mel: np.ndarray
    phones: np.ndarray
    words: list[tuple[float, list[int]]]

    @property
    def frames(self) -> int:
        """Length of the piece in mel frames."""
        return self.mel.shape[1]


@dataclass(frozen=True)
class Sequence:
    """`mel` float32 [128, 8 n], `phones` [8 n], `labels` int64 [n].

    Speech and its surroundings fill `frames` mel frames behind the left padding; the rest is
    digital silence.
    """

    mel: np.ndarray
    phones: np.ndarray
    labels: np.ndarray
    frames: int


class Composer:
    """Draws training sequences from a data set."""

    def __init__(self, dataset: Dataset, right_pad: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.right_pad = right_pad
        self.synthetic = dataset.synthetic
        real = dataset.real
        self.pools = {
            "digits": [real[f"digits/{n}"] for n in range(10) if f"digits/{n}" in real],
            "letters": [x for key, x in real.items() if _is_letter(key)],
            "phonetic": [x for key, x in real.items() if key.startswith("phonetic/")],
            "numbers": [x for key, x in real.items() if key.startswith("digits/")],
        }
        special = ("digits/", "letters/", "phonetic/")
        self.long = [takes for takes in real.values() if len(takes[0].words) >= 3]
        self.other = [takes for key, takes in real.items() if not key.startswith(special)]
        self.all = list(real.values())

    def sequence(self, positions: int, real_share: float) -> Sequence:
        """A sequence of real speech with probability `real_share`, else of synthetic speech."""
        most = (positions - LEFT_PAD - self.right_pad) * MELS_PER_POSITION
        real = self.rng.random() < real_share
        placed, frames = self.chain(real, most)
        return lay_out(placed, positions, min(frames + self.rng.randint(0, 40), most))

    def chain(self, real: bool, most: int) -> tuple[list[tuple[int, Piece]], int]:
        """Pieces with their first mel frame, in at most `most` frames, and where the last ends."""
        rng = self.rng
        room = most if rng.random() < 0.6 else rng.randint(SHORTEST, most)
        mode = rng.choices(list(MODES), list(MODES.values()))[0]
        speed = rng.randrange(len(SPEEDS))
        gap = int(rng.choice(GAPS) * FPS)
        end = rng.randint(0, 60)
        placed: list[tuple[int, Piece]] = []
        while not (mode == "digits" and real and len(placed) > MOST_DIGITS):
            if real:
                takes = self.draw(mode, first=not placed)
                jitter = rng.choice((-1, 0, 0, 1))
                take = takes[min(len(SPEEDS) - 1, max(0, speed + jitter))]
            else:
                take = rng.choice(self.synthetic)
            piece = self.piece(take, room - end)
            start = end + (rng.randint(0, gap) if placed else 0)
            if start + piece.frames > room:
                break
            placed.append((start, piece))
            end = start + piece.frames
        return placed, end

    def draw(self, mode: str, first: bool) -> list[Take]:
        """The takes of a recording; a string of digits may have a prompt before it."""
        rng = self.rng
        if mode == "digits" and first and rng.random() < 0.3:
            mode = "prompts"
        if self.pools.get(mode):
            return rng.choice(self.pools[mode])
        if rng.random() < 0.55:
            return rng.choice(self.long)
        return rng.choice(self.other if rng.random() < 0.75 else self.all)

    def piece(self, take: Take, room: int) -> Piece:
        """The whole clip, or 1-8 of its words where it is too long, and now and then anyway."""
        rng, words = self.rng, take.words
        count = len(words)
        if count < 3 or (rng.random() >= 0.35 and take.mel.shape[1] <= room):
            return self.crop(take, 0, count)
        first = rng.randrange(count)
        return self.crop(take, first, min(count, first + rng.randint(1, 8)))

    def crop(self, take: Take, first: int, last: int) -> Piece:
        """Words first..last-1, with a random margin where the clip begins or ends."""
        rng, words = self.rng, take.words
        if first:
            start = int(words[first - 1].end * FPS)
        else:
            start = max(0, int(take.start * FPS) - rng.randint(0, MARGIN))
        if last < len(words):
            end = int(words[last - 1].end * FPS)
        else:
            end = min(take.mel.shape[1], int(take.end * FPS) + rng.randint(2, MARGIN))
        ends = [(word.end - start / FPS, word.tokens) for word in words[first:last]]
        return Piece(take.mel[:, start:end], take.phones[start:end], ends)


def lay_out(placed: list[tuple[int, Piece]], positions: int, frames: int) -> Sequence:
    """Put the pieces behind the left padding and write their words as targets."""
    length = positions * MELS_PER_POSITION
    mel = np.full((128, length), SILENCE, np.float32)
    phones = np.full(length, PHONE_IDS["pau"], np.uint8)
    words = []
    for start, piece in placed:
        span = slice(LEFT_PAD * MELS_PER_POSITION + start, None)
        mel[:, span][:, : piece.frames] = piece.mel
        phones[span][: piece.frames] = piece.phones
        words += [(start / FPS + end, tokens) for end, tokens in piece.words]
    return Sequence(mel, phones, targets(words, positions), frames)


def targets(words: list[tuple[float, list[int]]], positions: int) -> np.ndarray:
    """Labels int64 [positions] of words given as (end in s behind the left padding, tokens)."""
    labels = np.full(positions, PAD, np.int64)
    free = LEFT_PAD + DELAY
    for end, tokens in words:
        start = max(free, LEFT_PAD + DELAY + int(end / POSITION_SECONDS))
        free = start + 1 + len(tokens)
        if free > positions:
            break
        labels[start:free] = [WORD, *tokens]
    return labels


def _is_letter(key: str) -> bool:
    return key.startswith("letters/") and len(key) == len("letters/a")
