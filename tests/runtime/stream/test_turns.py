"""Turns and cuts: each word in its turn, whatever the tokens and the times of the cuts."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxrun.stream.levels import Levels
from voxrun.stream.results import Token
from voxrun.stream.tokenizer import Tokenizer
from voxrun.stream.turns import Event, Passed, Pause, Said, Spoken, Started, Stopped, Turns
from voxrun.stream.words import WordGrouper

EOS, PAD, WORD = 2, 32, 33
HALF_SECOND = Pause(0.5, 0.5)


def word(text: str) -> list[int]:
    return [WORD, *(64 + byte for byte in text.encode())]


def timed(ids: Iterable[int]) -> list[Token]:
    return [Token(id, round((index + 1) * 0.08, 6)) for index, id in enumerate(ids)]


def in_quiet(tokenizer: Tokenizer, pause: Pause) -> Turns:
    """Turns of a sound that is quiet wherever the model writes nothing."""
    return Turns(tokenizer, pause, lambda at: 0.0)


def brief(events: Iterable[Event]) -> list[object]:
    """Texts of words, and what is between them."""
    told: list[object] = []
    for event in events:
        match event:
            case Spoken():
                told.append(event.word.text)
            case Started() | Stopped():
                told.append((type(event).__name__, round(event.at, 2)))
            case Passed():
                told.append("|")
    return told


def test_a_turn_is_from_its_first_word_to_a_silence(tokenizer: Tokenizer) -> None:
    script = [PAD] * 20 + word(" on") + word(" it") + [PAD] * 10 + word(" go") + [PAD] * 3
    turns = in_quiet(tokenizer, HALF_SECOND)
    events = list(turns.feed(timed(script)))
    assert brief(events) == [
        ("Started", 0.88),  # at most 0.8 s before the word's end at 1.68
        " on",
        " it",
        ("Stopped", 2.0),
        ("Started", 2.32),
    ]
    stopped = next(event for event in events if isinstance(event, Stopped))
    assert stopped.until == pytest.approx(2.56)  # the first position that is half a second later
    assert brief(turns.flushed(3.5)) == [" go", ("Stopped", 3.12)]


def test_the_text_of_a_turn_comes_between_its_start_and_its_end(tokenizer: Tokenizer) -> None:
    events = list(in_quiet(tokenizer, HALF_SECOND).feed(timed(word(" on") + [PAD] * 10)))
    kinds = [type(event) for event in events]
    assert kinds == [Started, Said, Said, Said, Spoken, Stopped]
    assert "".join(event.text for event in events if isinstance(event, Said)) == " on"


def test_no_turn_ends_inside_a_long_word(tokenizer: Tokenizer) -> None:
    script = word(" congratulations") + [PAD] * 2 + word(" to") + [PAD] * 8
    assert brief(in_quiet(tokenizer, Pause(0.32, 0.32)).feed(timed(script))) == [
        ("Started", 0.0),
        " congratulations",
        " to",
        ("Stopped", 1.6),
    ]


def test_in_noise_a_turn_ends_when_the_longest_word_would_have_ended(tokenizer: Tokenizer) -> None:
    script = word(" other") + [PAD] * 7 + word(" participants") + [PAD] * 20  # 1.04 s from end to end
    assert brief(Turns(tokenizer, HALF_SECOND).feed(timed(script))) == [
        ("Started", 0.0),
        " other",
        " participants",
        ("Stopped", 1.2),
    ]


def test_a_turn_ends_after_a_pause_of_quiet_that_follows_the_sound(tokenizer: Tokenizer) -> None:
    """The sound ends at 0.5 s, in the seventh position; the word at 0.08 s."""
    levels, sound = Levels(16000), np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)
    for samples in np.array_split(np.append(sound, np.zeros(32000, np.float32)), 7):
        levels.hear(samples)
    turns = Turns(tokenizer, HALF_SECOND, levels.quiet_since)
    events = list(turns.feed(timed(word(" on") + [PAD] * 30)))
    assert [event.until for event in events if isinstance(event, Stopped)] == pytest.approx([1.12])


def test_the_end_of_a_sentence_may_end_a_turn_sooner(tokenizer: Tokenizer) -> None:
    def length(text: str) -> float:
        events = in_quiet(tokenizer, Pause(2.0, 0.5)).feed(timed(word(text) + [PAD] * 30))
        return next(event.until - event.at for event in events if isinstance(event, Stopped))

    assert length(" yes.") == pytest.approx(0.72)  # when the word is final
    assert length(" yes") == pytest.approx(2.0)


def test_without_a_pause_only_cuts_part_the_words(tokenizer: Tokenizer) -> None:
    script = word(" a") + [PAD] * 30 + word(" b") + [PAD] * 30
    turns = Turns(tokenizer)
    turns.cut(2.0)
    assert brief(turns.feed(timed(script))) == [("Started", 0.0), " a", "|", ("Started", 1.92), " b"]


def test_a_word_belongs_to_the_side_of_a_cut_on_which_it_ends(tokenizer: Tokenizer) -> None:
    """Even if its letters come after the cut; and what ends just at the cut is before it."""
    script = word(" one") + word(" two") + [PAD] * 10  # they end at 0.08 and 0.48
    for at, expected in [
        (0.07, ["|", " one", " two"]),
        (0.08, [" one", "|", " two"]),
        (0.47, [" one", "|", " two"]),
        (0.48, [" one", " two", "|"]),
    ]:
        turns = Turns(tokenizer)
        turns.cut(at)
        told = brief(turns.feed(timed(script)))
        assert [each for each in told if isinstance(each, str)] == expected


def test_a_turn_that_is_cut_does_not_stop_too(tokenizer: Tokenizer) -> None:
    turns = in_quiet(tokenizer, HALF_SECOND)
    turns.cut(0.9)
    assert brief(turns.feed(timed(word(" on") + [PAD] * 30))) == [("Started", 0.0), " on", "|"]


def test_a_flush_passes_the_cuts_up_to_it_and_no_later_one(tokenizer: Tokenizer) -> None:
    turns = Turns(tokenizer)
    list(turns.feed(timed(word(" on"))))
    turns.cut(1.0)
    turns.cut(1.0)
    turns.cut(1.2)
    assert brief(turns.flushed(1.0)) == [" on", "|", "|"]
    assert brief(turns.flushed(1.2)) == ["|"]


TOKENS = st.lists(
    st.one_of(
        st.integers(1, 12).map(lambda n: [PAD] * n),
        st.text("abc.\u00e9", min_size=1, max_size=5).map(lambda text: word(" " + text)),
        st.just([EOS]),
        st.just([WORD]),  # a mark without a word
        st.just([64 + 0xC3]),  # half a character, without a mark
    ),
    max_size=12,
).map(lambda parts: [id for part in parts for id in part])


@settings(max_examples=300)
@given(
    script=TOKENS,
    pause=st.sampled_from([None, Pause(0.1, 0.1), HALF_SECOND, Pause(2.0, 0.4)]),
    cuts=st.lists(st.tuples(st.integers(0, 80), st.floats(0, 2)), max_size=5),
)
def test_cuts_and_turns_lose_no_word_and_put_each_on_its_side(
    tokenizer: Tokenizer, script: list[int], pause: Pause | None, cuts: list[tuple[int, float]]
) -> None:
    tokens, grouper = timed(script), WordGrouper(tokenizer)
    expected = [word for token in tokens for word in grouper.feed(token)[1]] + grouper.close()

    turns, events, ahead, made = Turns(tokenizer, pause), list[Event](), 0.0, list[float]()
    by_position: dict[int, list[float]] = {}
    for position, later in cuts:
        by_position.setdefault(min(position, len(tokens)), []).append(later)
    for position in range(len(tokens) + 1):
        for later in by_position.get(position, ()):
            ahead = max(ahead, position * 0.08 + later)  # a cut is never before what was heard
            made.append(ahead)
            turns.cut(ahead)
        events += turns.feed(tokens[position : position + 1])
    events += turns.flushed(max(ahead, len(tokens) * 0.08))

    spoken = [event.word for event in events if isinstance(event, Spoken)]
    assert spoken == expected
    assert sum(isinstance(event, Passed) for event in events) == len(made)
    passed, speaking, text = 0, False, ""
    for event in events:
        match event:
            case Passed():
                assert not text, "a word is not parted from its text"
                passed, speaking = passed + 1, False
            case Started():
                assert not speaking
                speaking = True
            case Stopped():
                assert speaking and not text
                assert passed == sum(at < event.until - 0.001 for at in made) or event.until >= ahead
                speaking = False
            case Said():
                assert speaking
                text += event.text
            case Spoken(word=word):
                assert text.startswith(word.text)
                text = text.removeprefix(word.text)
                assert passed == sum(at + 0.001 < word.end for at in made)
