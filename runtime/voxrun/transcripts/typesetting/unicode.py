"""Patterns over Unicode's properties of characters; importing this imports `regex`, which has the tables.

Where a line may be broken follows the Unicode Line Breaking Algorithm (UAX #14) in its strict form, called
kinsoku in Japanese typography, but for Korean: it has spaces between words, and is broken only there.
"""

import regex

CLUSTER = regex.compile(r"\X")
"""What readers take for one character: a letter with its marks, an emoji of several code points."""
WIDE = regex.compile(r"[\p{East_Asian_Width=Wide}\p{East_Asian_Width=Fullwidth}\uFE0F]|\p{RI}\p{RI}")
VISIBLE = regex.compile(r"[^\p{Mn}\p{Me}\p{Cf}\p{Cc}]")
"""What takes a column of its own."""

_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\u3000-\u303F\uFF01-\uFFEE"
"""Scripts that are written without spaces, and may be broken between most characters."""
_JOINS = r"\p{lb=GL}\p{lb=WJ}\p{lb=ZWJ}\p{lb=QU}\p{Hangul}\s"
_NO_START = (
    rf"{_JOINS}\p{{lb=CL}}\p{{lb=CP}}\p{{lb=EX}}\p{{lb=NS}}\p{{lb=CJ}}\p{{lb=IS}}\p{{lb=SY}}\p{{lb=IN}}\p{{lb=BA}}"
    r"\p{lb=HY}\p{lb=PO}\p{lb=EM}\p{M}\p{Pf}\p{Grapheme_Cluster_Break=Extend}"
)
"""No line begins with closing punctuation, small kana, marks and the like."""
_NO_END = rf"{_JOINS}\p{{lb=OP}}\p{{lb=PR}}\p{{lb=BB}}\p{{Pi}}\p{{Nd}}"
"""No line ends with opening punctuation, a sign of currency, or a number before its unit."""
ANYWHERE = regex.compile(
    rf"(?<=[{_UNSPACED}])(?<![{_NO_END}])(?=[^{_NO_START}])"
    rf"|(?<=[^{_NO_END}])(?=[{_UNSPACED}])(?![{_NO_START}])"
    r"|(?<=\u200B)(?=\S)"
)
"""Where text without spaces may be broken, whether or not the model saw the end of a word there."""
_THAI_NO_START = (
    r"\p{M}\p{Grapheme_Cluster_Break=Extend}\p{Grapheme_Cluster_Break=SpacingMark}"
    r"\u0E2F\u0E30\u0E32\u0E45\u0E46\u0EAF\u0EB0\u0EB2\u0EC6"
)
"""Marks, and vowels and signs of Thai and Lao that follow the letter they belong to."""
BETWEEN_WORDS = regex.compile(
    rf"(?<=\p{{lb=SA}})(?<!\p{{Logical_Order_Exception}})(?=\p{{lb=SA}})(?![{_THAI_NO_START}])"
)
"""Where Thai, Lao, Khmer and Burmese may be broken if the model saw the end of a word there."""
