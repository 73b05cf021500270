"""Words with times: on the frame clock, whole, final as soon as they can be."""

import numpy as np
import pytest
from scripted import ScriptedModel

from voxrun.stream.clock import FrameClock
from voxrun.stream.results import LONGEST_WORD, Result, Word
from voxrun.stream.session import Session
from voxrun.stream.tokenizer import Tokenizer
from voxrun.stream.words import MOST_TOKENS, PAUSE_POSITIONS
from voxrun.transcriber import Transcriber

EOS, PAD, WORD = 2, 32, 33
POSITION = 0.08


def letters(text: str) -> list[int]:
    return [64 + byte for byte in text.encode()]


def heard(tokenizer: Tokenizer, script: list[int], seconds: float = 4.0) -> list[Word]:
    session = Session(ScriptedModel(script), tokenizer, live=True)
    results = [session.feed(np.zeros(round(16000 * seconds), np.float32)), session.finish()]
    return [word for result in results for word in result.words]


def test_a_word_ends_where_the_model_marked_it(tokenizer: Tokenizer) -> None:
    """The k-th token of the sequence ends at (k - left pad - delay) * 80 ms; the first is k = 39."""
    words = heard(tokenizer, [PAD, PAD, WORD, *letters(" on"), PAD, WORD, *letters(" it")])
    assert [word.text for word in words] == [" on", " it"]
    assert [word.end for word in words] == pytest.approx([3 * POSITION, 8 * POSITION])
    assert [word.start for word in words] == pytest.approx([0.0, 3 * POSITION])
    assert [[token.id for token in word.tokens] for word in words] == [letters(" on"), letters(" it")]


def test_after_a_pause_a_word_has_its_greatest_length(tokenizer: Tokenizer) -> None:
    word = heard(tokenizer, [PAD] * 29 + [WORD, *letters("ok")])[0]
    assert word.end == pytest.approx(30 * POSITION)
    assert word.start == pytest.approx(30 * POSITION - LONGEST_WORD)


def test_text_without_a_mark_is_a_word_too(tokenizer: Tokenizer) -> None:
    words = heard(tokenizer, [*letters("a"), EOS, *letters("b")])
    assert [(word.text, round(word.end / POSITION)) for word in words] == [("a", 1), ("b", 3)]


def test_pads_inside_a_word_do_not_split_it_at_once(tokenizer: Tokenizer) -> None:
    gap = [PAD] * (PAUSE_POSITIONS - 1)
    assert [w.text for w in heard(tokenizer, [WORD, *letters("a"), *gap, *letters("b")])] == ["ab"]
    gap = [PAD] * PAUSE_POSITIONS
    assert [w.text for w in heard(tokenizer, [WORD, *letters("a"), *gap, *letters("b")])] == ["a", "b"]


def test_a_word_is_final_after_a_short_pause(tokenizer: Tokenizer) -> None:
    script = [WORD, *letters("a")]
    session = Session(ScriptedModel(script), tokenizer, delay_ms=80)
    results = [session.feed(np.zeros(1280, np.float32)) for _ in range(12)]
    written = next(i for i, result in enumerate(results) if result.text)
    final = next(i for i, result in enumerate(results) if result.words)
    assert final - written == PAUSE_POSITIONS
    assert {result.partial for result in results[written:final]} == {"a"}
    assert results[final].partial == ""


def test_no_word_ends_after_the_audio(tokenizer: Tokenizer) -> None:
    words = heard(tokenizer, [PAD] * 12 + [WORD, *letters("a"), WORD, *letters("b")], seconds=1.05)
    assert [word.end for word in words] == pytest.approx([1.04, 1.05])


def test_words_joined_are_the_text(transcriber: Transcriber, samples: np.ndarray) -> None:
    session = transcriber.session()
    results = [session.feed(samples), session.finish()]
    assert "".join(word.text for result in results for word in result.words) == "".join(map(str, results))


def test_the_silence_of_a_flush_takes_no_time(transcriber: Transcriber, samples: np.ndarray) -> None:
    """Pieces around pauses: words have the times of the whole recording."""
    gap = np.zeros(16000, np.float32)
    session = transcriber.session(live=True)
    results: list[Result] = []
    for _ in range(3):
        results += [session.feed(samples), session.feed(gap), session.flush()]
    words = [word for result in results for word in result.words]
    period = (len(samples) + len(gap)) / 16000
    assert len(words) == 9
    for again in (1, 2):
        for word, first in zip(words[3 * again :], words[:3], strict=False):
            assert word.text == first.text
            assert word.end == pytest.approx(again * period + first.end, abs=2 * POSITION)


def test_the_clock_leaves_out_inserted_silence() -> None:
    clock = FrameClock(rate=10, samples_per_position=10)
    clock.hear(25)
    assert [clock.end_of(i) for i in (0, 1)] == [1.0, 2.0]
    clock.insert_silence(15)
    assert [clock.end_of(i) for i in (2, 3)] == [2.5, 2.5]
    clock.hear(30)
    assert [clock.end_of(i) for i in (4, 5, 6)] == [3.5, 4.5, 5.5]
    assert (clock.fed, clock.audio) == (70, 55)


def test_the_clock_does_not_drift_and_forgets_past_silences() -> None:
    clock = FrameClock(rate=16000, samples_per_position=1280)
    for hour in range(24):
        clock.hear(3600 * 16000)
        clock.insert_silence(1280)
        assert clock.end_of(45001 * (hour + 1) - 1) == 3600.0 * (hour + 1)
        assert not clock._silences


def test_a_model_that_marks_no_words_is_cut_into_pieces(tokenizer: Tokenizer) -> None:
    words = heard(tokenizer, letters("a" * 3 * MOST_TOKENS), seconds=12)
    assert [len(word.tokens) for word in words] == [MOST_TOKENS] * 3
    assert words[0].end < words[1].start < words[1].end
