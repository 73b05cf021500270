"""How wide text is on a screen, in columns, and how long its lines may be.

A Latin letter takes one column, a wide character (Chinese, Japanese, Korean, most emoji) two: the Netflix
guides count half a character for what is half as wide. Marks above or below a letter take none; vowel signs
beside it, as in the scripts of India, take one.
"""

import re
from functools import lru_cache

LATIN, EAST_ASIAN, JAPANESE = 42, 32, 26
"""Columns of a line, from the Netflix Timed Text Style Guides: 42 characters; 16 wide ones for Chinese and
Korean; 13 for Japanese."""
KANA = "[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9f]"
HAN_OR_HANGUL = (
    "[\u1100-\u11ff\u2e80-\u2fdf\u3001-\u303f\u3100-\u31bf\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff]"
)
"""Patterns, compiled when they are first used: most text needs none."""


def line_length(text: str) -> int:
    """How many columns a line of this text has at most: a part of the text never has fewer."""
    if text.isascii():
        return LATIN
    if re.search(KANA, text):
        return JAPANESE
    return EAST_ASIAN if re.search(HAN_OR_HANGUL, text) else LATIN


@lru_cache(maxsize=4096)
def width(text: str) -> int:
    """Columns of a text on one line."""
    if text.isascii():
        return len(text)
    from .unicode import CLUSTER, VISIBLE, WIDE  # not needed for most text, and slow to import

    clusters: list[str] = CLUSTER.findall(text)
    return sum(2 if WIDE.search(cluster) else len(VISIBLE.findall(cluster)) for cluster in clusters)
