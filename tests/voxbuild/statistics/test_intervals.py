"""Laws of intervals: what holds for any clips."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxbuild.statistics.estimate import Estimate
from voxbuild.statistics.intervals import difference, mean, quantile, rate, share

CLIPS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(1, 40), st.integers(0, 12)),
    min_size=1,
    max_size=40,
)
"""Errors of ours and of theirs, words, speaker."""
LAWS = settings(max_examples=40)


def holds(estimate):
    return estimate.low <= estimate.value <= estimate.high


@LAWS
@given(CLIPS, st.randoms(use_true_random=False))
def test_an_interval_holds_its_estimate_and_no_order_of_the_clips_changes_it(clips, random):
    def all_of(clips):
        ours, theirs, words, speakers = zip(*clips, strict=True)
        least = [min(pair) for pair in zip(ours, words, strict=True)]
        return (
            rate(ours, words, speakers),
            difference(ours, theirs, words, speakers),
            share(least, words),
            mean(ours, words, speakers),
            quantile([np.arange(n) * e for n, e in zip(words, ours, strict=True)], 0.9, speakers),
        )

    found = all_of(clips)
    assert all(map(holds, found))
    assert found[0].low >= 0
    assert found[2].high <= 1
    random.shuffle(clips)
    assert all_of(clips) == found


@LAWS
@given(CLIPS)
def test_a_model_does_not_differ_from_itself_but_few_words_do_not_prove_it(clips):
    ours, _, words, _ = zip(*clips, strict=True)
    same = difference(ours, ours, words)
    assert same.value == 0
    assert same.high == -same.low
    assert same.high >= 3 / sum(words), "the rule of three"
    assert rate([0] * len(words), words).high >= 3 / (sum(words) + 3)
    assert rate([0] * len(words), words).low == 0


@LAWS
@given(CLIPS)
def test_a_loss_of_one_is_the_gain_of_the_other(clips):
    ours, theirs, words, _ = zip(*clips, strict=True)
    one, other = difference(ours, theirs, words), difference(theirs, ours, words)
    assert one.value == -other.value
    # Which clips are in a draw is chance; so bounds differ a little.
    assert one.high - one.low == pytest.approx(other.high - other.low, rel=0.3)


@LAWS
@given(CLIPS, st.sampled_from([2.0, 100.0, 1024.0]))
def test_a_mean_in_another_unit_is_the_same_mean(clips, factor):
    values, _, counts, _ = zip(*clips, strict=True)
    once, scaled = mean(values, counts), mean([factor * v for v in values], counts) * (1 / factor)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((once.value, once.low, once.high))


def test_more_of_the_same_clips_make_an_interval_narrower():
    errors, words = [0, 1, 0, 3, 0, 2], [9, 11, 4, 20, 7, 12]
    widths = [found.high - found.low for n in (1, 4, 16) for found in [rate(errors * n, words * n)]]
    assert widths[0] > 1.5 * widths[1] > 2.5 * widths[2]


def test_clips_of_the_same_speaker_count_once():
    """A hundred clips of ten speakers, of whom one is never understood, say less than a hundred speakers."""
    speakers = [clip // 10 for clip in range(100)]
    errors = [10 if speaker == 0 else 0 for speaker in speakers]
    by_clip, by_speaker = rate(errors, [10] * 100), rate(errors, [10] * 100, speakers)
    assert by_speaker.high - by_speaker.low > 1.5 * (by_clip.high - by_clip.low)
    few = [speaker % 2 for speaker in speakers]
    assert rate(errors, [10] * 100, few) == by_clip, "two speakers tell nothing about others"


def test_a_figure_that_is_not_finite_has_no_interval():
    for found in (
        mean([1.0, float("nan")], [1, 1]),
        rate([], []),
        rate([0], [0]),
        quantile([np.array([1.0, np.inf])], 0.99),
        quantile([], 0.99),
    ):
        assert found.as_json(2) is None


def test_an_estimate_is_read_back_from_json():
    stored = Estimate(1.2345, -0.0001, 2.0).as_json(2)
    assert stored == {"value": 1.23, "low": 0.0, "high": 2.0}
    assert Estimate.of(stored).in_words(2) == "1.23 (0.00 to 2.00)"
    assert Estimate.of(1.23).in_words(2) == "1.23", "in a file of before intervals were kept"
    assert Estimate.of(None).in_words(2) == "not finite"
