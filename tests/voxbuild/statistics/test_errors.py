"""Normalisation, and error rates worked out by hand."""

# ruff: noqa: RUF001 (other alphabets are what is tested)

import pytest

from voxbuild.statistics.spoken_digits import spoken_digits as normalise
from voxbuild.validate.error_rates import error_rates


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Press 5, please!", "press five please"),
        ("10", "one zero"),
        ("3.5%", "three five"),
        ("re-record under_score", "re record under score"),
        ("party's  first\tname\n", "party's first name"),
        ("party\u2019s", "party's"),
        ("'quoted' ''twice'' rock'n'roll'", "quoted twice rock'n'roll"),
        ("Straße ÉTÉ", "strasse été"),
        ("e\u0301te\u0301", "été"),
        ("\uff21\uff22 \ufb01n", "ab fin"),
        ("हिन्दी भाषा।", "हिन्दी भाषा"),
        ("ма\u0301ма", "ма\u0301ма"),
        ("re\u00adcord क्\u200dष", "record क्ष"),
        ("你好，世界。", "你好 世界"),
        ("…—«»¿?", ""),
        ("", ""),
    ],
)
def test_text_is_normalised_to_spoken_words(written, spoken):
    assert normalise(written) == spoken
    assert normalise(spoken) == spoken


def figures(references, hypotheses):
    rates = error_rates(references, hypotheses)
    return rates.words, rates.substitutions, rates.deletions, rates.insertions, rates.wer


@pytest.mark.parametrize(
    ("reference", "heard", "expected"),
    [
        ("press five", "Press 5.", (2, 0, 0, 0, 0.0)),
        ("a b c d", "a x c d", (4, 1, 0, 0, 25.0)),
        ("a b c d", "a c d", (4, 0, 1, 0, 25.0)),
        ("a b c d", "a b b c d", (4, 0, 0, 1, 25.0)),
        ("a b c", "", (3, 0, 3, 0, 100.0)),
        ("a", "x y z", (1, 1, 0, 2, 300.0)),
        ("a b c", "a b x y", (3, 1, 0, 1, 66.67)),
    ],
)
def test_word_error_rates_of_single_pairs(reference, heard, expected):
    assert figures([reference], [heard]) == expected


def test_rates_over_many_clips_are_weighted_by_words():
    assert figures(["a b c d e f g h i", "x"], ["a b c d e f g h i", "y"]) == (10, 1, 0, 0, 10.0)


def test_character_error_rates():
    assert error_rates(["abcd"], ["abxd"]).cer == 25.0
    assert error_rates(["abcd"], ["ABCD!"]).cer == 0.0
