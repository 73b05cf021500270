"""Does the delay do what it says? By how much words come later at one delay than at another."""

from difflib import SequenceMatcher

import numpy as np
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from tiny.training.labels import Written


def shifts(tekken: Tekkenizer, one: list[Written], other: list[Written]) -> np.ndarray:
    """How many positions later each word comes in `other` than in `one`, int [words].

    Both are the same clips; only the tokens that both have in common and that begin a word count.
    """
    found: list[int] = []
    for a, b in zip(one, other, strict=True):
        tokens = [[token for _, token in written] for written in (a, b)]
        matcher = SequenceMatcher(None, *tokens, autojunk=False)
        for start, at, size in matcher.get_matching_blocks():
            found += [
                b[at + k][0] - a[start + k][0]
                for k in range(size)
                if tekken.decode([a[start + k][1]]).startswith(" ")
            ]
    return np.array(found)
