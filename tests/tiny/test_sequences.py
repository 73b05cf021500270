"""Training sequences and their labels at any delay: what is said is written when it is due."""

import random
from dataclasses import replace

import numpy as np
import pytest
from takes import SPOKEN, dataset, level

from tiny.training.config import LEFT_PAD, MELS_PER_POSITION, PAD, PHASES, SILENCE, WORD, Delays, Sound
from tiny.training.labels import UNHEARD, draw_delays, write
from tiny.training.sequences import Composer, Sequence

SECOND_EDITION = PHASES[-2].sound
THIRD_EDITION = PHASES[-1].sound


def sequence(words, positions=100, midstream=False) -> Sequence:
    mel = np.full((128, positions * MELS_PER_POSITION), SILENCE, np.float32)
    start = 0 if midstream else LEFT_PAD * MELS_PER_POSITION
    return Sequence(mel, np.zeros(mel.shape[1], np.uint8), words, start, mel.shape[1])


def labels(sequence, delay, shifted=0.0, seed=0):
    return write(sequence, delay, shifted, random.Random(seed))


def drawn(sound: Sound, count=40, positions=176) -> list[Sequence]:
    composer = Composer(dataset(), sound, seed=0)
    return [composer.sequence(positions) for _ in range(count)]


# Labels


@pytest.mark.parametrize("delay", [1, 2, 6, 15, 30])
def test_a_word_is_written_after_the_delay(delay):
    written = labels(sequence([(0.5, [70, 71]), (0.6, [72])]), delay)
    first = LEFT_PAD + delay + 6  # 0.5 s is in the seventh position
    assert written.tokens[first : first + 5].tolist() == [WORD, 70, 71, WORD, 72]
    assert (np.delete(written.tokens, range(first, first + 5)) == PAD).all()
    assert np.flatnonzero(written.counted)[0] == LEFT_PAD + delay
    assert written.counted[LEFT_PAD + delay :].all()


def test_a_midstream_sequence_has_no_left_padding():
    written = labels(sequence([(0.5, [70])], midstream=True), delay=3)
    assert written.tokens[3 + 6 : 3 + 8].tolist() == [WORD, 70]
    assert np.flatnonzero(written.counted)[0] == 3 + UNHEARD


def test_a_word_at_the_end_is_cut_and_a_later_one_left_out():
    words = [(5.0, [70, 71, 72]), (5.1, [73]), (9.0, [74])]  # 5 s: position 32 + 6 + 62 = 100
    written = labels(sequence(words, positions=102), delay=6)
    assert written.tokens[100:].tolist() == [WORD, 70]
    assert (written.tokens[:100] == PAD).all()


def test_a_shifted_word_is_near_and_its_decision_does_not_count():
    right = LEFT_PAD + 6 + 25  # of a word that ends at 2 s
    seen = set()
    for seed in range(40):
        written = labels(sequence([(2.0, [70, 71])]), 6, shifted=1.0, seed=seed)
        at = int(np.flatnonzero(written.tokens == WORD)[0])
        assert written.tokens[at : at + 3].tolist() == [WORD, 70, 71]
        uncounted = np.flatnonzero(~written.counted[LEFT_PAD + 6 :]) + LEFT_PAD + 6
        assert uncounted.tolist() == ([at] if at < right else list(range(right, at)))
        seen.add(at - right)
    assert seen == {-2, -1, 1, 2}


def test_delays_differ_and_the_usual_one_is_often_among_them():
    rng = random.Random(0)
    assert draw_delays(Delays(), rng) == [6]
    for delays, count in ((PHASES[-2].delays, 3), (PHASES[-1].at(0).delays, 4)):
        rows = [draw_delays(delays, rng) for _ in range(400)]
        assert all(len(set(row)) == count for row in rows)
        assert {delay for row in rows for delay in row} == {*range(1, 16), 30}
        assert 0.68 < np.mean([6 in row for row in rows]) < 0.9


def test_the_delays_of_the_last_lesson_are_alike():
    rng = random.Random(0)
    rows = [draw_delays(PHASES[-1].at(0.9).delays, rng) for _ in range(2000)]
    shares = [np.mean([delay in row for row in rows]) for delay in (*range(1, 16), 30)]
    assert max(shares) < 3 * min(shares)
    assert PHASES[-1].at(0.9).history.random < PHASES[-1].at(0.5).history.random
    assert PHASES[0].at(0.9) == PHASES[0]


# Sequences


@pytest.mark.parametrize(
    "sound", [PHASES[0].sound, SECOND_EDITION, THIRD_EDITION], ids=["first", "second", "third"]
)
def test_words_end_where_their_sound_does(sound):
    for made in drawn(replace(sound, loudness=0.0)):
        for end, (token,) in made.words:
            frame = made.start + round(100 * end) - 2  # two frames before the word ends
            assert made.mel[0, frame] == pytest.approx(level(token), abs=1e-3)
            assert made.phones[frame] == SPOKEN
        assert (made.mel[:, : made.start] == np.float32(SILENCE)).all()
        assert (made.mel[:, made.end :] == np.float32(SILENCE)).all()


def test_first_edition_begins_as_a_stream_and_leaves_room_at_the_end():
    for made in drawn(PHASES[0].sound):
        assert made.start == LEFT_PAD * MELS_PER_POSITION
        assert made.end <= (made.positions - 17) * MELS_PER_POSITION


def test_second_edition_begins_anywhere_and_has_pauses_and_silent_sequences():
    made = drawn(SECOND_EDITION, count=300)
    assert 0.18 < np.mean([one.midstream for one in made]) < 0.33
    assert 0.05 < np.mean([not one.words for one in made]) < 0.16
    pauses = [np.diff([end for end, _ in one.words]).max(initial=0) for one in made]
    assert 3 < max(pauses) < 8
    assert max(one.end for one in made) == 176 * MELS_PER_POSITION


def test_runs_differ_in_loudness():
    louder = {
        float(made.mel[0, made.start + round(100 * end) - 2]) - level(token)
        for made in drawn(SECOND_EDITION)
        for end, (token,) in made.words
    }
    largest = 1.3 * SECOND_EDITION.loudness / 4  # in units of the log-mel
    assert -largest < min(louder) < -0.05
    assert 0.05 < max(louder) < largest


def test_sequences_repeat_with_their_seed():
    for one, other in zip(drawn(SECOND_EDITION, 5), drawn(SECOND_EDITION, 5), strict=True):
        np.testing.assert_array_equal(one.mel, other.mel)
        assert one.words == other.words
