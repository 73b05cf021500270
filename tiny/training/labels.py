"""What a sequence is to be written as, at any delay.

A word that ends t seconds after the left padding is written from position 32 + delay +
floor(t / 0.08) on: [STREAMING_WORD], then its tokens, one per position; directly after the previous
word where that one is still being written. Every other position is [STREAMING_PAD].
"""

import random
from dataclasses import dataclass

import numpy as np

from tiny.training.config import DELAY, LEFT_PAD, PAD, POSITION_SECONDS, WORD, Delays
from tiny.training.sequences import Sequence

SHIFTS = (-2, -1, -1, 1, 1, 2)  # positions by which a shifted word is early or late
UNHEARD = 4  # positions at the start of a midstream sequence whose sound lacks its past

Written = list[tuple[int, int]]  # what a model wrote: (position, text token)


@dataclass(frozen=True)
class Labels:
    """`tokens` int64 [n], the target at each position, and `counted` bool [n]: does it count?"""

    delay: int
    tokens: np.ndarray
    counted: np.ndarray


def draw_delays(delays: Delays, rng: random.Random) -> list[int]:
    """The delays one sequence is decoded at, all different."""
    drawn = [DELAY] if rng.random() < delays.usual else []
    others = dict(delays.weights)
    while len(drawn) < delays.count:
        delay = rng.choices(list(others), list(others.values()))[0]
        if delay not in drawn:
            drawn.append(delay)
    return drawn


def write(sequence: Sequence, delay: int, shifted: float, rng: random.Random) -> Labels:
    """The labels of a sequence at a delay in positions.

    A share `shifted` of the words is written one or two positions early or late. The decoder, whose
    input these labels are, so learns not to write such a word twice. The decision itself, a word
    too early or a pad where the word belongs, does not count.
    """
    n = sequence.positions
    start = delay if sequence.midstream else LEFT_PAD + delay
    tokens = np.full(n, PAD, np.int64)
    counted = np.arange(n) >= start + (UNHEARD if sequence.midstream else 0)
    free = 0 if sequence.midstream else start
    for end, word in sequence.words:
        right = at = max(free, start + int(end / POSITION_SECONDS))
        if right >= n:
            break
        if rng.random() < shifted:
            at = max(free, right + rng.choice(SHIFTS))
        if at < right:
            counted[at] = False
        counted[right:at] = False
        free = at + 1 + len(word)
        tokens[at:free] = [WORD, *word][: max(0, n - at)]  # cut where the sequence ends
    return Labels(delay, tokens, counted)
