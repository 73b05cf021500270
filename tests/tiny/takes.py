"""A small data set whose clips can be told apart by their sound."""

import numpy as np

from tiny.training.config import PHONES, SPEEDS
from tiny.training.dataset import Dataset, Take, Word

SPOKEN = PHONES.index("w")


def dataset() -> Dataset:
    """Four recordings and two synthetic sentences.

    The k-th word of a clip is one token, said from k + 0.2 to k + 0.7 s; the log-mel of its second
    is `level(token)`.
    """
    real = {"digits/1": 1, "letters/b": 1, "phonetic/b_p": 1, "press": 5}
    takes = {
        key: [take(100 + 10 * n, words, speed) for speed in SPEEDS]
        for n, (key, words) in enumerate(real.items())
    }
    return Dataset(takes, [take(140, 4, 1.0), take(150, 1, 1.0)])


def level(token: int) -> float:
    """The log-mel of the word that is this token."""
    return 0.01 * (token - 100)


def take(first: int, count: int, speed: float) -> Take:
    """A clip that says the tokens from `first` on, played `speed` times faster."""
    tokens = range(first, first + count)
    seconds = [np.full((128, round(100 / speed)), level(token), np.float16) for token in tokens]
    mel = np.concatenate(seconds, 1)
    words = [Word((k + 0.2) / speed, (k + 0.7) / speed, [token]) for k, token in enumerate(tokens)]
    phones = np.full(mel.shape[1], SPOKEN, np.uint8)
    return Take(mel, phones, words, words[0].start, words[-1].end)
