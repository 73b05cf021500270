"""Normalisation, and error rates worked out by hand."""

# ruff: noqa: RUF001 (other alphabets are what is tested)

from importlib.metadata import version

import pytest

from voxbuild.statistics.errors import count_errors, distance, errors_over
from voxbuild.statistics.normalise import normaliser_for

SPOKEN = normaliser_for("en", digits=True)


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
    assert SPOKEN(written) == spoken
    assert SPOKEN(spoken) == spoken


def figures(references, hypotheses):
    found = errors_over(references, hypotheses, SPOKEN)
    return found.words, found.substitutions, found.deletions, found.insertions, round(found.wer, 2)


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
    assert count_errors("abcd", "abxd", SPOKEN).cer == 25.0
    assert count_errors("abcd", "ABCD!", SPOKEN).cer == 0.0


@pytest.mark.parametrize("language", ["en", "de", "ar", "hi", "zh"])
@pytest.mark.parametrize("text", ["...", "?!", "\u2014 $ .", "\u00ad", ""])
def test_nothing_is_compared_of_punctuation(language, text):
    assert normaliser_for(language)(text) == ""


def test_a_text_of_which_nothing_is_compared_has_insertions_only():
    found = count_errors("...", "a b", SPOKEN)
    assert (found.words, found.insertions, found.characters, found.character_errors) == (0, 2, 0, 3)


@pytest.mark.parametrize(
    ("language", "text", "same", "units"),
    [
        ("en", "It's twenty-five colours, uh, Mr. Smith.", "it is 25 colors mister smith", 6),
        ("en-GB", "On 3 May 2019", "on three may two thousand nineteen", 4),
        ("de", "Die Straße ist groß.", "die straße ist groß", 4),
        ("fr", "L’été, c'est fini !", "l été c est fini", 5),
        ("hi", "मैं हिन्दी बोलता हूँ।", "मैं हिन्दी बोलता हूँ", 4),
        ("ar", "السَّلامُ عليكم", "السلــام عليكم", 2),
        ("ru", "Ёлка — зелёная.", "ёлка зелёная", 2),
        ("zh_cn", "今天，天气很好。", "今天天气很好", 6),
        ("ja", "ガラス です", "ガラスです", 5),
        ("ko", "안녕하세요, 여러분!", "안녕하세요 여러분", 2),
        ("th", "สวัสดี", "สวั สดี", 4),
    ],
)
def test_what_sounds_the_same_is_no_error_in_its_language(language, text, same, units):
    found = count_errors(text, same, normaliser_for(language))
    assert (found.words, found.word_errors, found.character_errors) == (units, 0, 0)


@pytest.mark.parametrize(
    ("language", "true", "heard"),
    [
        ("hi", "कि", "की"),
        ("th", "ดี", "ดิ"),
        ("de", "schön", "schon"),
        ("zh", "你好", "你们"),
        ("en", "fifteen", "fifty"),
    ],
)
def test_another_vowel_is_an_error(language, true, heard):
    found = count_errors(true, heard, normaliser_for(language))
    assert (found.word_errors, found.character_errors > 0) == (1, True)


def test_a_normaliser_says_its_version():
    assert normaliser_for("en").name == f"whisper-normalizer {version('whisper-normalizer')}: English"
    assert [normaliser_for(code).unit for code in ("ja", "jpn", "ko")] == ["character", "character", "word"]


def test_the_distance_of_texts_is_in_characters():
    assert distance("Press 5.", "press five") == 5
