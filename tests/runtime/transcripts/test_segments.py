"""Words become segments: cut at pauses and sentence ends, never too long, the same however they arrive."""

import random

import pytest

from voxrun.stream.results import Result, Token, Word
from voxrun.transcripts.typesetting.columns import LATIN
from voxrun.transcripts.typesetting.layout import MOST_LINES
from voxrun.transcripts.typesetting.segments import MOST_SECONDS, Segment, Segmenter

MOST_CHARACTERS = LATIN * MOST_LINES


def spoken(text: str, start: float = 0.0, pace: float = 0.4) -> list[Word]:
    """Words of `pace` seconds, one after the other; `|` is a pause of two seconds."""
    words, now = [], start
    for piece in text.split():
        if piece == "|":
            now += 2.0
        else:
            words.append(Word(f" {piece}", now, now + pace))
            now += pace
    return words


def result(*words: Word, now: float | None = None, partial: str = "") -> Result:
    end = now if now is not None else (words[-1].end if words else 0.0)
    return Result("", words, partial, (Token(32, end),))


def segments(words: list[Word]) -> list[Segment]:
    segmenter = Segmenter()
    return [*segmenter.feed(result(*words)), *segmenter.finish()]


def live_segments(words: list[Word]) -> list[Segment]:
    """The same when words come one by one, with results without words while there is silence."""
    segmenter, pieces, now = Segmenter(), list[Segment](), 0.0
    for word in words:
        while now + 0.32 < word.end + 0.4:  # a word is written after its end
            now += 0.32
            pieces += segmenter.feed(result(now=now))
        pieces += segmenter.feed(result(word, now=max(now, word.end)))
    return [*pieces, *segmenter.finish()]


def texts(text: str, **options: float) -> list[str]:
    return [segment.text for segment in segments(spoken(text, **options))]


def test_a_pause_separates() -> None:
    assert texts("please try again | you entered") == ["please try again", "you entered"]


@pytest.mark.parametrize("long", ["Donaudampfschifffahrtsgesellschaft", "1914–1918,", "非常に重要な意味"])  # noqa: RUF001
def test_the_time_of_a_long_word_is_no_pause(long: str) -> None:
    """Nor is it the widest gap of a sentence: these starts are at most 0.8 s before the ends."""
    words = [Word(" Die", 0.0, 0.3), Word(f" {long}", 1.2, 2.0), Word(" hat", 2.0, 2.3)]
    assert len(segments(words)) == len(live_segments(words)) == 1
    words = [*spoken("one two three four five six", pace=0.6), Word(f" {long}", 4.4, 5.2)]
    words += [Word(" seven", 5.7, 6.2), Word(" eight", 6.2, 7.5)]
    assert segments(words)[0].words[-1].text == f" {long}"
    assert len(segments([Word(" Die", 0.0, 0.3), Word(f" {long}", 3.2, 4.0)])) == 2


def test_times_are_those_of_the_words() -> None:
    first, second = segments(spoken("one two | three", start=1.0))
    assert (first.start, first.end) == (1.0, pytest.approx(1.8))
    assert (second.start, second.end) == (pytest.approx(3.8), pytest.approx(4.2))


@pytest.mark.parametrize(
    "text",
    [
        "That is all there is. Now go home at once!",
        'He said: "All is well now." Then he left us.',
        "Is there anybody here? Nobody answered me.",
        "Dies ist ein ganzer Satz… Und dies noch einer.",
        "What they all said was no. Then they left us.",
        "They all lived at number 7. Then they left us.",
    ],
)
def test_a_sentence_ends_a_segment(text: str) -> None:
    parts = texts(text)
    assert len(parts) == 2
    assert " ".join(parts) == text


@pytest.mark.parametrize(
    "text",
    [
        "Mr. Smith is here",
        "It is 3.5 or so",
        "No. Never",
        "I don't know what Mr. Smith and (Dr. Müller say",
        "Das ist uns allen z. B. schon ganz klar",
        "Das ist uns allen d.h. schon lange klar",
        "they all lived together at No. 7 for years",
        "nobody in the whole of the U. S. A. knows",
        "nobody in the whole of the U.S. knows that",
        "je ne sais pas ce que M. Dupont veut",
        "no sabemos todavía lo que el Sr. García dice",
        "wir trafen uns dort alle bei St. Anna",
        "wir treffen uns dort alle am 3. Oktober",
    ],
)
def test_an_abbreviation_does_not(text: str) -> None:
    assert texts(text) == [text]


def test_wide_full_stops_end_sentences_however_short() -> None:
    words = [Word(text, i * 0.4, i * 0.4 + 0.4) for i, text in enumerate(["你好。", "谢谢", "你。", "再见"])]
    assert [segment.text for segment in segments(words)] == ["你好。", "谢谢你。", "再见"]


def test_segments_are_short_enough_for_subtitles() -> None:
    for words in (spoken("word " * 300, pace=0.1), spoken("supercalifragilistic " * 50, pace=1.1)):
        parts = segments(words)
        assert all(len(part.text) <= MOST_CHARACTERS for part in parts)
        assert all(part.end - part.start <= MOST_SECONDS + 1e-6 for part in parts)
        assert [word for part in parts for word in part.words] == words


def test_a_long_sentence_is_cut_at_a_comma() -> None:
    text = (
        "when the long night had come to its end at last, the others left that house without a further word"
    )
    assert texts(text, pace=0.1)[0].endswith("at last,")


def test_a_comma_near_the_start_does_not_make_a_short_segment() -> None:
    text = "well, nobody here could possibly have foreseen everything that happened yesterday evening in town"
    assert len(texts(text, pace=0.1)[0]) > 42


def test_a_long_sentence_without_a_comma_is_cut_at_its_widest_gap() -> None:
    words = spoken("one two three four five six seven eight", pace=0.5)
    words += [Word(f" {i}", 4.4 + i * 0.5, 4.9 + i * 0.5) for i in range(10)]  # 0.4 s later
    assert segments(words)[0].text == "one two three four five six seven eight"


def test_a_word_longer_than_a_subtitle_stands_alone() -> None:
    assert texts(f"a {'b' * 100} c", pace=0.1) == ["a", "b" * 100, "c"]


def test_line_breaks_and_blank_words_do_not_show() -> None:
    words = [Word("\n", 0, 0.1), Word(" one\n\n", 0.1, 0.4), Word(" two", 0.4, 0.8), Word("  ", 5.0, 5.1)]
    assert [segment.text for segment in segments(words)] == ["one two"]


def test_no_words_give_no_segment() -> None:
    assert segments([]) == []


def test_a_segment_lasts() -> None:
    assert Segment((Word("a", 1.0, 1.0),)).end > 1.0


def test_a_segment_is_final_in_the_silence_after_it() -> None:
    segmenter, words = Segmenter(), spoken("please try again")
    assert segmenter.feed(result(*words)) == []
    assert segmenter.open == "please try again"
    assert segmenter.feed(result(now=2.0)) == []
    assert [part.text for part in segmenter.feed(result(now=4.5))] == ["please try again"]
    assert segmenter.open == ""


def test_a_word_in_the_making_may_still_belong_to_it() -> None:
    segmenter, words = Segmenter(), spoken("please try")
    segmenter.feed(result(*words))
    assert segmenter.feed(result(now=4.0, partial=" aga")) == []
    segmenter.feed(result(Word(" again", 0.8, 1.2)))
    assert [part.text for part in segmenter.finish()] == ["please try again"]


@pytest.mark.parametrize("seed", range(20))
def test_however_words_arrive_segments_are_the_same(seed: int) -> None:
    """And all words come out, in order."""
    dice = random.Random(seed)
    vocabulary = ["a", "number,", "of", "words.", "|", "without", "meaning", "extraordinarily", "Dr.", "end!"]
    words = spoken(" ".join(dice.choices(vocabulary, k=200)), pace=dice.choice([0.16, 0.4, 0.8]))
    whole = segments(words)
    assert live_segments(words) == whole
    assert [word for segment in whole for word in segment.words] == words


def test_only_one_segment_is_held_however_long_the_stream() -> None:
    segmenter = Segmenter()
    for word in spoken("on and " * 5000, pace=0.1):
        segmenter.feed(result(word))
        assert len(segmenter.open) <= MOST_CHARACTERS
